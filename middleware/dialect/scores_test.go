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

func TestOneTextIsReadWithEachThatItIsComparedWith(t *testing.T) {
	for body, extra := range map[string]int{
		`{"model":"m","text_1":"one","text_2":["a","b","c"]}`:                   2 * len(`"one"`),
		`{"model":"m","text_1":["one"],"text_2":["a","b","c"]}`:                 2 * len(`["one"]`),
		`{"model":"m","text_1":["x","y"],"text_2":["a","b"]}`:                   0,
		`{"model":"m","text_1":"one","text_2":"a"}`:                             0,
		`{"model":"m","data_1":"one","data_2":["a","b"]}`:                       len(`"one"`),
		`{"model":"m","queries":"one","documents":["a","b"]}`:                   len(`"one"`),
		`{"model":"m","query":"one","items":["a","b"],"label_token_ids":[1,2]}`: len(`"one"`),
		`{"model":"m","query":[1,2],"items":[[3],[4]]}`:                         0,
	} {
		call, err := (Reader{StrictMembers: true}).Read(route(t, "/score"), []byte(body))
		if err != nil || call.TextBytes != int64(len(body)+extra) {
			t.Errorf("%s: %d bytes, want %d more than %d: %v", body, call.TextBytes, extra, len(body), err)
		}
	}
}

func TestRepliesOfOperationsThatGenerateNothing(t *testing.T) {
	const none = -1
	for _, test := range []struct {
		path, body, reply string
		input             int64
	}{
		{"/score", `{"model":"m","text_1":"a","text_2":"b"}`, `{"data":[{"index":0,"score":1}],"usage":{"prompt_tokens":7,"total_tokens":7,"completion_tokens":0}}`, 7},
		{"/v1/score", `{"model":"m","query":"a","items":["b"]}`, `{"scores":[[0.5,0.5]],"object":"scoring","usage":{"total_tokens":5}}`, 5},
		{"/pooling", `{"model":"m","messages":[{"role":"user","content":"a"}]}`, `{"data":[{"object":"pooling","data":[[1]]}],"usage":{"prompt_tokens":7,"total_tokens":7}}`, 7},
		{"/classify", `{"model":"m","input":["a"]}`, `{"data":[{"label":"x"}],"usage":{"prompt_tokens":3,"total_tokens":3}}`, 3},
		{"/classify", `{"model":"m","text":["a"]}`, `[{"embedding":[1],"meta_info":{"prompt_tokens":4}}]`, 4},
		{"/v1/moderations", `{"input":"a"}`, `{"id":"m","results":[{"flagged":false}]}`, none},
		{"/tokenize", `{"model":"m","prompt":"a"}`, `{"count":1,"max_model_len":9,"tokens":[5]}`, none},
		{"/tokenize", `{"content":"a","with_pieces":true}`, `{"tokens":[{"id":5,"piece":"a"}]}`, none},
		{"/tokenize", `{"inputs":"a"}`, `[{"id":5,"text":"a","start":0,"stop":1}]`, none},
		{"/v1/tokenize", `{"model":"m","prompt":["a","b"]}`, `{"tokens":[[5],[6]],"count":[1,1],"max_model_len":9}`, none},
		{"/detokenize", `{"model":"m","tokens":[5]}`, `{"prompt":"a"}`, none},
		{"/v1/detokenize", `{"model":"m","tokens":[5],"skip_special_tokens":true}`, `{"text":"a"}`, none},
	} {
		call, err := (Reader{StrictMembers: true}).Read(route(t, test.path), []byte(test.body))
		if err != nil {
			t.Errorf("%s %s: %v", test.path, test.body, err)
			continue
		}
		if spec := call.Route.Spec; !spec.Answered([]byte(test.reply), false) || call.OutputCap != 0 || spec.NoInput && call.TextBytes != 0 {
			t.Errorf("%s %s: %+v", test.path, test.reply, call)
		}
		meter := NewMeter(&call, true)
		meter.Body([]byte(test.reply))
		usage, ok := meter.Reported()
		if ok != (test.input != none) || ok && usage != (Usage{Input: test.input}) {
			t.Errorf("%s %s: %+v, %v", test.path, test.reply, usage, ok)
		}
	}
}
