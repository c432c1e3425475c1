package dialect

import "testing"

func TestRerank(t *testing.T) {
	const query = `{"model":"m","query":"which?","documents":["a","b","c"],"top_n":2}`
	for name, test := range map[string]struct {
		path, body, reply string
		usage             Usage
		reported          bool
		err               string
	}{
		"Jina":           {"/v1/rerank", query, `{"usage":{"total_tokens":15,"prompt_tokens":15},"results":[{"index":1,"relevance_score":0.9}]}`, Usage{Input: 15}, true, ""},
		"vLLM":           {"/rerank", query, `{"id":"r","model":"m","usage":{"total_tokens":21},"results":[{"index":0,"document":{"text":"a"}}]}`, Usage{Input: 21}, true, ""},
		"llama.cpp":      {"/v1/rerank", query, `{"usage":{"prompt_tokens":7,"total_tokens":9},"results":[]}`, Usage{Input: 7}, true, ""},
		"Cohere":         {"/rerank", query, `{"results":[],"meta":{"billed_units":{"search_units":1}}}`, Usage{}, false, ""},
		"nonsense":       {"/rerank", query, `{"results":[],"usage":{"total_tokens":"many"}}`, Usage{}, false, ""},
		"a caller's n":   {"/rerank", `{"model":"m","query":"q","documents":["a"],"n":9,"max_tokens":7}`, `{}`, Usage{}, false, ""},
		"a stream":       {"/rerank", `{"model":"m","query":"q","documents":[],"stream":true}`, ``, Usage{}, false, `"stream" is not supported on this path`},
		"another member": {"/rerank", `{"model":"m","query":"q","documents":[],"Model":"n"}`, ``, Usage{}, false, `"model" must be spelled exactly so`},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := ReadRequest(route(t, test.path), []byte(test.body))
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("got %v, want %q", err, test.err)
				}
				return
			}
			extra := 0
			if test.body == query { // two more documents are read with the query
				extra = 2 * len(`"which?"`)
			}
			if err != nil || call.Model != "m" || call.OutputCap != 0 || call.Answers != 1 || call.TextBytes != int64(len(test.body)+extra) {
				t.Fatalf("%+v, %v", call, err)
			}
			meter := NewMeter(&call, true)
			meter.Body([]byte(test.reply))
			if usage, ok := meter.Reported(); usage != test.usage || ok != test.reported {
				t.Errorf("usage %+v, %v", usage, ok)
			}
		})
	}
}
