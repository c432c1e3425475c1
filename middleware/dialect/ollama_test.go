package dialect

import "testing"

var ollamaStreams = []streamCase{
	{
		"Ollama",
		Call{Route: Route{Spec: &ollamaChatSpec}},
		true, NDJSON,
		"{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":false}\n{\"model\":\"m\",\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":26,\"eval_count\":298}\n",
		"", "{\"model\":\"m\",\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":26,\"eval_count\":298}\n",
		Usage{Input: 26, Cached: 0, Output: 298},
		1,
	},
}

func TestOllamaStreams(t *testing.T) { checkStreams(t, ollamaStreams) }
