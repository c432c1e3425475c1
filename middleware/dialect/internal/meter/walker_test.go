package meter

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// bodyCases are recorded shapes of each server's reply without a stream.
var bodyCases = []struct {
	name, body string
	usage      Usage
	ok         bool
}{
	{"OpenAI", `{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1}"}}],"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"audio_tokens":0,"cached_tokens":8}}}`, Usage{Input: 9, Cached: 8, Output: 3}, true},
	{"embeddings", `{"data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":8,"total_tokens":8}}`, Usage{Input: 8, Cached: 0, Output: 0}, true},
	{"Responses", `{"output":[],"usage":{"input_tokens":7,"output_tokens":2,"input_tokens_details":{"cached_tokens":1}}}`, Usage{Input: 7, Cached: 1, Output: 2}, true},
	{"Anthropic", `{"content":[],"usage":{"input_tokens":5,"cache_creation_input_tokens":1,"cache_read_input_tokens":2,"output_tokens":6}}`, Usage{Input: 8, Cached: 2, Output: 6}, true},
	{"llama.cpp batch", `[{"tokens_evaluated":3,"tokens_predicted":4},{"tokens_evaluated":5,"tokens_predicted":6}]`, Usage{Input: 8, Cached: 0, Output: 10}, true},
	{"SGLang batch", `[{"text":"a","meta_info":{"prompt_tokens":3,"completion_tokens":4}},{"meta_info":{"prompt_tokens":5,"completion_tokens":6}}]`, Usage{Input: 8, Cached: 0, Output: 10}, true},
	{"Ollama embed", `{"embeddings":[[1,2]],"prompt_eval_count":8}`, Usage{Input: 8, Cached: 0, Output: 0}, true},
	{"TGI", `{"generated_text":"x","details":{"generated_tokens":2,"prefill":[],"input_length":6}}`, Usage{Input: 6, Cached: 0, Output: 2}, true},
	{"Aquin", `{"text":"x","tokens_in":5,"tokens_out":6}`, Usage{Input: 5, Cached: 0, Output: 6}, true},
	{"none", `{"choices":[]}`, Usage{}, false},
	{"null", `{"usage":null}`, Usage{}, false},
	{"elsewhere", `{"choices":[{"usage":{"prompt_tokens":1}}],"x":{"usage":{"prompt_tokens":1}}}`, Usage{}, false},
	{"huge", `{"usage":{"prompt_tokens":4611686018427387904,"completion_tokens":1}}`, Usage{}, false},
	{"overflowing", `{"usage":{"prompt_tokens":99999999999999999999999999,"completion_tokens":1}}`, Usage{}, false},
	{"negative", `{"usage":{"prompt_tokens":-5,"completion_tokens":1}}`, Usage{}, false},
	{"text", `{"usage":{"prompt_tokens":"5","completion_tokens":1}}`, Usage{}, false},
	{"object", `{"usage":{"prompt_tokens":{},"completion_tokens":1}}`, Usage{}, false},
	{"whole floats", `{"usage":{"prompt_tokens":65.0,"completion_tokens":6.5e1,"prompt_tokens_details":{"cached_tokens":4.00}}}`, Usage{Input: 65, Cached: 4, Output: 65}, true},
	{"floats of zero", `{"usage":{"prompt_tokens":0.0,"completion_tokens":-0.0}}`, Usage{}, true},
	{"whole floats elsewhere", `{"tokens_evaluated":3.0,"tokens_predicted":40e-1}`, Usage{Input: 3, Cached: 0, Output: 4}, true},
	{"huge floats", `{"usage":{"prompt_tokens":1e17,"completion_tokens":1}}`, Usage{}, false},
	{"no number", `{"usage":{"prompt_tokens":1.,"completion_tokens":1}}`, Usage{}, false},
	{"fraction", `{"usage":{"prompt_tokens":5.5,"completion_tokens":1}}`, Usage{}, false},
	{"exponent", `{"usage":{"prompt_tokens":1e300,"completion_tokens":1}}`, Usage{}, false},
	{"not JSON", `<html>"usage":{"prompt_tokens":5}}}}]]]</html>`, Usage{}, false},
}

func TestBodiesAreReadHoweverTheyAreCut(t *testing.T) {
	for _, test := range bodyCases {
		t.Run(test.name, func(t *testing.T) {
			for at := range len(test.body) + 1 {
				shape := &chat
				if test.name == "Anthropic" {
					shape = &messages
				}
				meter := New(shape, false)
				meter.Body([]byte(test.body[:at]))
				meter.Body([]byte(test.body[at:]))
				if usage, ok := meter.Reported(); usage != test.usage || ok != test.ok {
					t.Fatalf("cut at %d: %+v, %v", at, usage, ok)
				}
			}
		})
	}
}

// FuzzBody holds the walker against encoding/json on one shape.
func FuzzBody(f *testing.F) {
	for _, test := range bodyCases {
		f.Add([]byte(test.body), uint16(9))
	}
	f.Fuzz(func(t *testing.T, body []byte, cut uint16) {
		at := int(cut) % (len(body) + 1)
		meter := New(nil, false)
		meter.Body(body[:at])
		meter.Body(body[at:])
		usage, ok := meter.Reported()
		if ok && (usage.Input < 0 || usage.Output < 0) {
			t.Fatalf("usage %+v", usage)
		}
		var shape struct {
			Usage *struct {
				PromptTokens     json.RawMessage `json:"prompt_tokens"`
				CompletionTokens json.RawMessage `json:"completion_tokens"`
			} `json:"usage"`
		}
		if !utf8.Valid(body) || json.Unmarshal(body, &shape) != nil || shape.Usage == nil || !plain(body) {
			return
		}
		input, okIn := jsonscan.ParseInteger(shape.Usage.PromptTokens)
		output, okOut := jsonscan.ParseInteger(shape.Usage.CompletionTokens)
		if okIn && okOut && input > 0 && input < 1<<50 && output > 0 && output < 1<<50 && (!ok || usage.Input != input || usage.Output != output) {
			t.Fatalf("%s: %+v %v, encoding/json reads %d and %d", body, usage, ok, input, output)
		}
	})
}

// plain says that a text has each name only once and in the spelling that
// encoding/json and the walker agree on.
func plain(body []byte) bool {
	text := strings.ToLower(string(body))
	for _, name := range []string{`"usage"`, `"prompt_tokens"`, `"completion_tokens"`} {
		if strings.Count(text, name) != 1 || !bytes.Contains(body, []byte(name)) {
			return false
		}
	}
	for _, other := range []string{"\\", "input", "output", "tokens_", "_tokens_", "_count", "generated", "cache", "message", "response", "details", "meta_info", "[{", "ſ", "\u212a"} {
		if strings.Contains(strings.ReplaceAll(strings.ReplaceAll(text, "prompt_tokens", ""), "completion_tokens", ""), other) {
			return false
		}
	}
	return true
}
