package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func route(t testing.TB, path string) Route {
	t.Helper()
	route, ok := Classify("POST", path)
	if !ok {
		t.Fatalf("%s is not known", path)
	}
	return route
}

func TestRequestsAreReadInEachDialect(t *testing.T) {
	type want struct {
		model   string
		stream  bool
		cap     int64
		answers int64
	}
	tests := []struct {
		path, body string
		want       want
	}{
		{"/v1/chat/completions", `{"model":"m","messages":[],"max_tokens":7}`, want{"m", false, 7, 1}},
		{"/v1/chat/completions", "\n{ \"model\" : \"m\" ,\t\"stream\" : true , \"max_completion_tokens\" : 9, \"max_tokens\":3,\"n\":4}\r\n", want{"m", true, 9, 4}},
		{"/v1/chat/completions", `{"model":"m","messages":[],"max_tokens":65.0,"n":2e0}`, want{"m", false, 65, 2}},
		{"/v1/chat/completions", `{"model":"m","messages":[],"max_tokens":6.5E+1}`, want{"m", false, 65, 1}},
		{"/v1/chat/completions", `{"model":"m\u00fc\"x","max_tokens":null,"stream":null,"n":null}`, want{`mü"x`, false, 0, 1}},
		{"/v1/completions", `{"model":"m","prompt":["a","b","c"],"n":2,"best_of":5,"max_tokens":0}`, want{"m", false, 0, 15}},
		{"/v1/completions", `{"model":"m","prompt":[1,2,3]}`, want{"m", false, 0, 1}},
		{"/v1/completions", `{"model":"m","prompt":[[1,2],[3]]}`, want{"m", false, 0, 2}},
		{"/v1/embeddings", `{"model":"m","input":["a","b"]}`, want{"m", false, 0, 1}},
		{"/v1/responses", `{"model":"m","input":"hi","max_output_tokens":11,"stream":true}`, want{"m", true, 11, 1}},
		{"/v1/messages", `{"model":"m","max_tokens":5,"messages":[],"stream":true}`, want{"m", true, 5, 1}},
		{"/api/infer", `{"prompt":"hi"}`, want{"", false, 512, 1}},
		{"/api/v1/model", `{"messages":[{"role":"user","content":"Hi"}],"max_tokens":99,"temperature":0.7}`, want{"", false, 99, 1}},
		{"/api/v2/execute/abc", `{"text":"Hello","max_tokens":5,"options":{"stream":true}}`, want{"", true, 5, 1}},
		{"/api/v2/execute/abc", `{"text":[{"role":"user","content":"x"},{"role":"user","content":"y"}],"stream":true}`, want{"", true, 0, 1}},
		{"/api/v1/execute/abc", `{"data":"Hello","options":{"stream":true}}`, want{"", false, 0, 1}},
		{"/api/generate", `{"model":"m","prompt":"x","options":{"num_predict":33}}`, want{"m", true, 33, 1}},
		{"/api/generate", `{"model":"m","prompt":"x","stream":false,"options":{"num_predict":-1}}`, want{"m", false, 0, 1}},
		{"/api/chat", `{"model":"m","messages":[]}`, want{"m", true, 0, 1}},
		{"/completion", `{"prompt":"x","n_predict":-1,"stream":true}`, want{"", true, 0, 1}},
		{"/completion", `{"prompt":["x","y"],"n_predict":8}`, want{"", false, 8, 2}},
		{"/generate", `{"inputs":"x","parameters":{"max_new_tokens":4}}`, want{"", false, 4, 1}},
		{"/generate_stream", `{"inputs":"x","parameters":{"max_new_tokens":4}}`, want{"", true, 4, 1}},
		{"/generate", `{"text":["x","y"],"sampling_params":{"max_new_tokens":4,"n":3}}`, want{"", false, 4, 6}},
	}
	for _, test := range tests {
		call, err := ReadRequest(route(t, test.path), []byte(test.body))
		got := want{call.Model, call.Stream, call.OutputCap, call.Answers}
		if err != nil || got != test.want {
			t.Errorf("%s %s\n got %+v, %v\nwant %+v", test.path, test.body, got, err, test.want)
		}
	}
}

func TestGenerateTellsItsTwoServersApart(t *testing.T) {
	for body, spec := range map[string]*Spec{`{"inputs":"x"}`: &tgiSpec, `{"text":"x"}`: &sglangSpec, `{"input_ids":[1]}`: &sglangSpec} {
		if call, err := ReadRequest(route(t, "/generate"), []byte(body)); err != nil || call.Route.Spec != spec {
			t.Errorf("%s: %v, %v", body, call.Route.Spec.Dialect, err)
		}
	}
}

func TestBodiesThatCouldBeReadInTwoWaysAreRefused(t *testing.T) {
	deep := func(n int) string {
		return `{"model":"m","x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	tests := []struct{ name, path, body, message string }{
		{"not JSON", "/v1/chat/completions", `hello`, "must be a JSON object"},
		{"empty", "/v1/chat/completions", ``, "must be a JSON object"},
		{"a list", "/v1/chat/completions", `[1]`, "must be a JSON object"},
		{"cut", "/v1/chat/completions", `{"model":"m","messages":[{"role":`, "not valid JSON"},
		{"two values", "/v1/chat/completions", `{"model":"m"}{"model":"n"}`, "more than one"},
		{"deeply nested", "/v1/chat/completions", deep(5000), "nested too deeply"},
		{"mismatched brackets", "/v1/chat/completions", `{"x":[{]},"model":"m"}`, "not valid JSON"},
		{"repeated model", "/v1/chat/completions", `{"model":"a","model":"b"}`, `"model" appears twice`},
		{"repeated cap", "/v1/chat/completions", `{"max_tokens":1,"model":"b","max_tokens":9999}`, `"max_tokens" appears twice`},
		{"repeated nested cap", "/api/generate", `{"model":"m","options":{"num_predict":1,"num_predict":9999}}`, "holds a member twice"},
		{"other case", "/v1/chat/completions", `{"model":"m","MAX_TOKENS":9999}`, "spelled exactly"},
		{"other case nested", "/api/generate", `{"model":"m","options":{"Num_Predict":9999}}`, "spelled exactly"},
		{"Kelvin sign", "/v1/chat/completions", `{"model":"m","max_to` + "\u212a" + `ens":9999}`, "spelled exactly"},
		{"escaped name", "/v1/chat/completions", `{"model":"m","max_tok\u0065ns":9999}`, "spelled exactly"},
		{"model is a number", "/v1/chat/completions", `{"model":7}`, `"model" must be a string`},
		{"model is empty", "/v1/chat/completions", `{"model":""}`, `"model" must be a string`},
		{"model is huge", "/v1/chat/completions", `{"model":"` + strings.Repeat("m", 300) + `"}`, `"model" must be a string`},
		{"negative cap", "/v1/chat/completions", `{"model":"m","max_tokens":-5}`, "whole number from 1"},
		{"cap of zero", "/v1/chat/completions", `{"model":"m","max_tokens":0}`, "whole number from 1"},
		{"huge cap", "/v1/chat/completions", `{"model":"m","max_tokens":4611686018427387904}`, "whole number from 1"},
		{"overflowing cap", "/v1/chat/completions", `{"model":"m","max_tokens":99999999999999999999999}`, "whole number from 1"},
		{"cap with exponent", "/v1/chat/completions", `{"model":"m","max_tokens":1e10}`, "whole number from 1"},
		{"cap with a fraction", "/v1/chat/completions", `{"model":"m","max_tokens":1.5}`, "whole number from 1"},
		{"cap with a leading zero", "/v1/chat/completions", `{"model":"m","max_tokens":07}`, "not valid JSON: a value is expected at byte 26"},
		{"cap as text", "/v1/chat/completions", `{"model":"m","max_tokens":"5"}`, "whole number from 1"},
		{"a million answers", "/v1/chat/completions", `{"model":"m","n":1000000}`, "whole number from 1 to 128"},
		{"a million prompts", "/v1/completions", `{"model":"m","prompt":[` + strings.Repeat(`"",`, 999999) + `""]}`, "too many answers"},
		{"stream as number", "/v1/chat/completions", `{"model":"m","stream":1}`, "must be true or false"},
		{"invalid UTF-8", "/v1/chat/completions", "{\"model\":\"m\xff\"}", "not valid UTF-8"},
		{"UTF-16", "/v1/chat/completions", "{\x00\"\x00m\x00", "not valid JSON"},
		{"both servers", "/generate", `{"inputs":"x","sampling_params":{"max_new_tokens":1}}`, "members of two servers"},
		{"background", "/v1/responses", `{"model":"m","background":true}`, "is not supported"},
		{"a remembered input", "/v1/responses", `{"model":"m","input":"x","previous_response_id":"r"}`, "is not supported"},
		{"options are a list", "/generate", `{"text":"x","sampling_params":[{"max_new_tokens":1}]}`, "must be an object"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ReadRequest(route(t, test.path), []byte(test.body))
			var mistake *RequestError
			if !errors.As(err, &mistake) || !strings.Contains(mistake.Message, test.message) {
				t.Errorf("got %v, want %q", err, test.message)
			}
		})
	}
}

func TestWhatIsNoJSONIsRefusedUnlessTheReaderIsLenient(t *testing.T) {
	for text, place := range map[string]string{
		"{\"model\":\"m\",\"messages\":[{\"content\":\"a\nb\"}]}":   "control character in a string is not escaped at byte 38",
		`{"model":"m","temperature":NaN}`:                           "a value is expected at byte 27",
		`{"model":"m","seed":01}`:                                   "at byte 20",
		`{"model":"m","messages":[{"content":"\ud83d"}]}`:           "an escape in a string is none of JSON's at byte 37",
		`{"model":"m","messages":[{"content":"\x41"}]}`:             "at byte 37",
		`{"model":"m","messages":[{"content":"a",}]}`:               "a member's name is expected at byte 40",
		`{"model":"m","messages":[{"content":"a"},]}`:               "a value is expected at byte 41",
		"{\"model\":\"m\",\"metadata\":{\"a\tb\":1}}":               "at byte 27",
		`{"model":"m","messages":[{"content":True}],"stream":true}`: "at byte 36",
	} {
		_, err := ReadRequest(route(t, "/v1/chat/completions"), []byte(text))
		var mistake *RequestError
		if !errors.As(err, &mistake) || !strings.HasSuffix(mistake.Message, place) || !strings.HasPrefix(mistake.Message, "the body is not valid JSON: ") {
			t.Errorf("%q: %v, want %q", text, err, place)
		}
		call, err := Reader{LenientJSON: true}.Read(route(t, "/v1/chat/completions"), []byte(text))
		if err != nil || call.Model != "m" {
			t.Errorf("lenient: %q: %v", text, err)
		}
	}
	for _, text := range []string{`{"model":"m"}x`, `{"model":"m"}{}`, `{"model":"m"},`, `{"model":"m"` + "\x00}", `{"model":"m","x":[}`} {
		for _, reader := range []Reader{{}, {LenientJSON: true}} {
			if _, err := reader.Read(route(t, "/v1/chat/completions"), []byte(text)); err == nil {
				t.Errorf("%q is taken, lenient %v", text, reader.LenientJSON)
			}
		}
	}
}

// chatBody makes a request of about size bytes with the model last.
func chatBody(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	text.WriteString(`{"messages":[`)
	for i := 0; text.Len() < size-120; i++ {
		if i > 0 {
			text.WriteByte(',')
		}
		length := min(200+random.IntN(200), max(20, size-120-text.Len()))
		fmt.Fprintf(&text, `{"role":"user","content":"%s\n"}`, strings.Repeat("word ", length/5))
	}
	text.WriteString(`],"temperature":0.7,"max_tokens":256,"stream":true,"model":"tiny"}`)
	return []byte(text.String())
}

// FuzzRequest holds the request reader against encoding/json: what both accept
// means the same to both, and what is rewritten stays valid and means the same.
func FuzzRequest(f *testing.F) {
	for _, body := range []string{
		`{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":7,"stream":true}`,
		`{"model":"m\u0041","stream_options":{"include_usage":false,"x":[1,{"y":"]}\\\""}]},"stream":true}`,
		`{ "n" : 3 , "model" : null, "options":{"num_predict":-1}}`, `{}`, `{"":{}}`, `{"a":"\\"}`, "{\"model\":\"\u212a\"}", `[{}]`, `{"model":"a","Model":"b"}`,
	} {
		f.Add([]byte(body), uint8(0))
	}
	paths := []string{"/v1/chat/completions", "/v1/completions", "/api/chat", "/generate_stream", "/completion", "/api/v2/execute/m"}
	f.Fuzz(func(t *testing.T, body []byte, which uint8) {
		route := route(t, paths[int(which)%len(paths)])
		call, err := ReadRequest(route, body)
		if err != nil {
			return
		}
		var oracle map[string]json.RawMessage
		if json.Unmarshal(body, &oracle) != nil {
			return // the upstream refuses it, whatever was read
		}
		var model *string
		if raw, ok := oracle["model"]; ok && json.Unmarshal(raw, &model) != nil {
			t.Fatalf("a model that is no string is accepted: %s", body)
		}
		if model != nil && *model != call.Model || model == nil && call.Model != "" {
			t.Fatalf("model %q, encoding/json reads %v in %s", call.Model, model, body)
		}
		var stream bool
		if raw, ok := oracle["stream"]; ok {
			_ = json.Unmarshal(raw, &stream)
		}
		if stream && !call.Stream {
			t.Fatalf("a stream is missed in %s", body)
		}
		for _, name := range []string{"max_tokens", "max_completion_tokens", "n_predict", "max_output_tokens"} {
			var number int64
			if json.Unmarshal(oracle[name], &number) == nil && number > call.OutputCap {
				t.Fatalf("%s is %d in %s, the cap is %d", name, number, body, call.OutputCap)
			}
		}
		checkRewrite(t, route, body, &call)
	})
}

func checkRewrite(t *testing.T, route Route, body []byte, call *Call) {
	out := call.Apply(body, Rewrite{Model: "other", OutputCap: 77, IncludeUsage: true, ContinuousUsage: true})
	var members map[string]json.RawMessage
	if err := json.Unmarshal(out, &members); err != nil || string(members["model"]) != `"other"` {
		t.Fatalf("%s\nbecame\n%s: %v", body, out, err)
	}
	again, err := ReadRequest(route, out)
	if err != nil || again.Model != "other" || again.OutputCap == 0 && route.Spec != &completionsSpec && call.OutputCap == 0 {
		t.Fatalf("%s\nbecame\n%s: cap %d, %v", body, out, again.OutputCap, err)
	}
	if call.Stream && route.Spec == &chatSpec && !again.IncludeUsage {
		t.Fatalf("%s\nbecame\n%s: no usage", body, out)
	}
}
