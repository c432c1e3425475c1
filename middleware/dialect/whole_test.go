package dialect

import "testing"

// wholeReplies has an answer of each operation that generates or reads text.
var wholeReplies = map[*Spec]string{
	&chatSpec:           `{"choices":[{"message":{"content":""}}]}`,
	&completionsSpec:    `{"choices":[{"text":"a"}]}`,
	&embeddingsSpec:     `{"data":[{"embedding":[1]}]}`,
	&responsesSpec:      `{"output":[{"type":"message"}]}`,
	&messagesSpec:       `{"content":[{"type":"text","text":""}]}`,
	&ollamaGenerateSpec: `{"response":""}`,
	&ollamaChatSpec:     `{"message":{"content":""}}`,
	&ollamaEmbedSpec:    `{"embeddings":[[1]]}`,
	&llamaCppSpec:       `{"content":""}`,
	&tgiSpec:            `[{"generated_text":""}]`,
	&tgiStreamSpec:      `{"generated_text":""}`,
	&sglangSpec:         `{"text":""}`,
	&rerankSpec:         `{"results":[]}`,
}

func TestAnAnswerIsToldFromAReplyWithoutOne(t *testing.T) {
	for _, spec := range specs {
		if spec.Handling != SendCall || spec.translation != nil {
			continue
		}
		answer := wholeReplies[spec]
		if !spec.Answered([]byte(" "+answer+"\n"), false) {
			t.Errorf("%v: no answer in %s", spec.Paths, answer)
		}
		for _, reply := range []string{
			"", " ", "{}", "[]", "null", "hello", `"text"`, "<html></html>", `{"id":"x","usage":{"prompt_tokens":1}}`, answer + "x", answer[1:],
			answer[:len(answer)-1], `{"choices":null,"content":null,"output":null,"data":null,"message":null,"response":null}`, `{"x":` + answer + `}`, `[[` + answer + `]]`,
		} {
			if spec.Answered([]byte(reply), true) {
				t.Errorf("%v: an answer in %q", spec.Paths, reply)
			}
		}
	}
}

func TestAnEmptyListIsAnAnswerOnlyIfTokensWereProduced(t *testing.T) {
	for _, reply := range []string{`{"choices":[]}`, `{"choices":[ ]}`} {
		if chatSpec.Answered([]byte(reply), false) || !chatSpec.Answered([]byte(reply), true) {
			t.Error(reply)
		}
	}
	if !rerankSpec.Answered([]byte(`{"results":[]}`), false) {
		t.Error("no documents have no results")
	}
}

func TestTextIsCountedWhereverAReplyHasIt(t *testing.T) {
	for reply, want := range map[string]int64{
		`{"choices":[{"message":{"content":"four","role":"assistant"}},{"message":{"content":"\u00e4b"}}],"id":"text"}`:                    7,
		`{"content":[{"type":"text","text":"ab"},{"type":"thinking","thinking":"c"}],"model":"m"}`:                                         3,
		`{"output":[{"type":"message","content":[{"type":"output_text","text":"abc"}]},{"type":"function_call","arguments":"{\"a\":1}"}]}`: 10,
		`{"response":"abcd","done":true}`:                  4,
		`[{"generated_text":"ab"},{"generated_text":"c"}]`: 3,
		`{"text":["a","b"]}`:                               2, `{}`: 0, "hello": 0, "": 0, `{"content":`: 0,
	} {
		if got := TextBytes([]byte(reply)); got != want {
			t.Errorf("%s: %d bytes, want %d", reply, got, want)
		}
	}
}
