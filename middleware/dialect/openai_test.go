package dialect

import (
	"strings"
	"testing"
)

var openAIStreams = []streamCase{
	{"OpenAI", Call{Route: Route{Spec: &chatSpec}}, false, SSE, sse(delta, delta, finish, sumOf) + doneLine, "", doneLine, Usage{Input: 9, Cached: 4, Output: 3}, 2},
	{
		"OpenAI, the last text with everything else",
		Call{Route: Route{Spec: &chatSpec}},
		false, SSE,
		sse(delta, `{"id":"c","choices":[{"index":0,"delta":{"content":"four"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}`) + doneLine, "", doneLine,
		Usage{Input: 9, Cached: 0, Output: 3},
		2,
	},
	{"OpenAI, usage taken out", Call{Route: Route{Spec: &chatSpec}}, true, SSE, sse(delta, finish, sumOf) + doneLine, sse(delta, finish), doneLine, Usage{Input: 9, Cached: 4, Output: 3}, 1},
	{
		"OpenAI, CRLF and comments",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		": ping\r\n\r\ndata:" + delta + "\r\n\r\nid: 7\r\ndata: " + sumOf + "\r\n\r\ndata: [DONE]\r\n\r\n", ": ping\r\n\r\ndata:" + delta + "\r\n\r\n", "data: [DONE]\r\n\r\n",
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"vLLM, null usage on every chunk",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		sse(strings.Replace(delta, "]}", `],"usage":null}`, 1), sumOf) + doneLine, sse(delta), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"vLLM, running totals",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE, sse(running, sumOf) + doneLine,
		sse(`{"id":"c","choices":[{"index":0,"delta":{"content":"x"}}]}`), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"Ollama, zeros before the figures",
		Call{Route: Route{Spec: &completionsSpec}},
		true, SSE, sse(zeroSum, `{"choices":[{"text":"a"}],"usage":{"prompt_tokens":0,"completion_tokens":0}}`, sumOf) + doneLine,
		sse(`{"choices":[{"text":"a"}]}`), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"Responses",
		Call{Route: Route{Spec: &responsesSpec}},
		true, SSE,
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n" +
			"event: response.completed\ndata: {\"response\":{\"output\":[],\"usage\":{\"input_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":1},\"output_tokens\":2}},\"type\":\"response.completed\"}\n\n",
		"", "event: response.completed\ndata: {\"response\":{\"output\":[],\"usage\":{\"input_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":1},\"output_tokens\":2}},\"type\":\"response.completed\"}\n\n",
		Usage{Input: 7, Cached: 1, Output: 2},
		1,
	},
}

func TestOpenAIStreams(t *testing.T) { checkStreams(t, openAIStreams) }
