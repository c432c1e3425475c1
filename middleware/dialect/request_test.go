package dialect

import (
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
	for body, kind := range map[string]Kind{`{"inputs":"x"}`: TGI, `{"text":"x"}`: SGLang, `{"input_ids":[1]}`: SGLang} {
		if call, err := ReadRequest(route(t, "/generate"), []byte(body)); err != nil || call.Route.Kind != kind {
			t.Errorf("%s: %v, %v", body, call.Route.Kind, err)
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
		{"cap with exponent", "/v1/chat/completions", `{"model":"m","max_tokens":1e9}`, "whole number from 1"},
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

func TestImagesAndAudioCountByTable(t *testing.T) {
	data := strings.Repeat("QUJD", 50000)
	for name, test := range map[string]struct {
		path, body string
		tokens     int64
	}{
		"OpenAI":    {"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"what?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` + data + `"}}]}]}`, 1600},
		"Responses": {"/v1/responses", `{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"` + data + `"},{"type":"input_image","image_url":"` + data + `"}]}]}`, 3200},
		"Anthropic": {"/v1/messages", `{"model":"m","messages":[{"role":"user","content":[{"source":{"data":"` + data + `"},"type":"image"}]}]}`, 1600},
		"Ollama":    {"/api/chat", `{"model":"m","messages":[{"role":"user","content":"x","images":["` + data + `","` + data + `"]}]}`, 3200},
		"audio":     {"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"` + data + `"}}]}]}`, 251},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := ReadRequest(route(t, test.path), []byte(test.body))
			if err != nil || call.MediaTokens != test.tokens || call.TextBytes > 200 || call.TextBytes < 0 {
				t.Errorf("%d media tokens and %d bytes of text, want %d tokens: %v", call.MediaTokens, call.TextBytes, test.tokens, err)
			}
		})
	}
	text := `{"model":"m","messages":[{"role":"user","content":[{"type":"image","type":"text","text":"` + data + `"}]}]}`
	if call, _ := ReadRequest(route(t, "/v1/chat/completions"), []byte(text)); call.TextBytes != int64(len(text)) {
		t.Errorf("text that calls itself an image first counts %d of %d bytes", call.TextBytes, len(text))
	}
}

func TestRewritesChangeNothingButTheirMembers(t *testing.T) {
	tests := []struct {
		name, path, body, want string
		rewrite                Rewrite
	}{
		{"nothing to do", "/v1/chat/completions", `{"model":"m","max_tokens":5}`, `{"model":"m","max_tokens":5}`, Rewrite{Model: "m", OutputCap: 9}},
		{"model", "/v1/chat/completions", `{"x":1.0000000000000000001, "model" : "m"}`, `{"x":1.0000000000000000001, "model" : "org/\u003cm"}`, Rewrite{Model: "org/<m"}},
		{"no model", "/v1/chat/completions", `{}`, `{"model":"m"}`, Rewrite{Model: "m"}},
		{"no model, no cap", "/v1/chat/completions", `{ }`, `{"model":"m","max_tokens":9 }`, Rewrite{Model: "m", OutputCap: 9}},
		{"null cap", "/v1/chat/completions", `{"max_tokens":null,"a":1}`, `{"max_tokens":9,"a":1}`, Rewrite{OutputCap: 9}},
		{"cap of a dialect that the server does not know", "/v1/chat/completions", `{"n_predict":5}`, `{"max_tokens":9,"n_predict":5}`, Rewrite{OutputCap: 9}},
		{"stream options", "/v1/chat/completions", `{"stream":true}`, `{"stream_options":{"include_usage":true},"stream":true}`, Rewrite{IncludeUsage: true}},
		{"stream options off", "/v1/chat/completions", `{"stream":true,"stream_options":{"include_usage":false,"x":1}}`, `{"stream":true,"stream_options":{"include_usage":true,"x":1}}`, Rewrite{IncludeUsage: true}},
		{"stream options null", "/v1/chat/completions", `{"stream":true,"stream_options":null}`, `{"stream":true,"stream_options":{"include_usage":true}}`, Rewrite{IncludeUsage: true}},
		{"stream options empty", "/v1/chat/completions", `{"stream":true,"stream_options":{}}`, `{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}`, Rewrite{IncludeUsage: true, ContinuousUsage: true}},
		{"other sub-keys", "/v1/completions", `{"stream":true,"stream_options":{"x":1}}`, `{"stream":true,"stream_options":{"include_usage":true,"x":1}}`, Rewrite{IncludeUsage: true}},
		{"no stream", "/v1/chat/completions", `{"stream":false}`, `{"stream":false}`, Rewrite{IncludeUsage: true}},
		{"responses", "/v1/responses", `{"stream":true}`, `{"max_output_tokens":9,"stream":true}`, Rewrite{OutputCap: 9, IncludeUsage: true}},
		{"ollama", "/api/chat", `{"model":"m"}`, `{"options":{"num_predict":9},"model":"m"}`, Rewrite{OutputCap: 9}},
		{"ollama options", "/api/chat", `{"options":{"seed":1}}`, `{"options":{"num_predict":9,"seed":1}}`, Rewrite{OutputCap: 9}},
		{"ollama without end", "/api/chat", `{"options":{"num_predict":-1}}`, `{"options":{"num_predict":9}}`, Rewrite{OutputCap: 9}},
		{"llama.cpp without end", "/completion", `{"n_predict":-1}`, `{"n_predict":9}`, Rewrite{OutputCap: 9}},
		{"TGI", "/generate_stream", `{"inputs":"x"}`, `{"parameters":{"max_new_tokens":9,"details":true},"inputs":"x"}`, Rewrite{OutputCap: 9, IncludeUsage: true}},
		{"TGI options", "/generate_stream", `{"inputs":"x","parameters":{"details":false}}`, `{"inputs":"x","parameters":{"max_new_tokens":9,"details":true}}`, Rewrite{OutputCap: 9, IncludeUsage: true}},
		{"SGLang", "/generate", `{"text":"x","sampling_params":{}}`, `{"text":"x","sampling_params":{"max_new_tokens":9}}`, Rewrite{OutputCap: 9}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			call, err := ReadRequest(route(t, test.path), []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			got := string(call.Apply([]byte(test.body), test.rewrite))
			if got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
			if _, err := ReadRequest(route(t, test.path), []byte(got)); err != nil {
				t.Errorf("the result cannot be read: %v", err)
			}
		})
	}
}

func TestPathsAreKnownOrNot(t *testing.T) {
	for path, want := range map[string]Route{
		"/api/v2/execute/acme%2Ftiny%2Facme": {Aixplain, Execute, "acme/tiny/acme"},
		"//api/v1/execute/66f0c1":            {Aixplain, ExecuteAsync, "66f0c1"},
	} {
		if got, ok := Classify("POST", path); !ok || got != want {
			t.Errorf("%s: %+v, %v", path, got, ok)
		}
	}
	for _, path := range []string{
		"/v1/chat/completions/", "//v1/chat/completions", "/v1/Chat/completions", "/api/v2/execute/", "/api/v2/execute/a/b",
		"/api/v2/execute/%zz", "/v1/files", "/", "", "/api/v2/execute/%ff",
	} {
		if got, ok := Classify("POST", path); ok {
			t.Errorf("%s is taken for %+v", path, got)
		}
	}
	if _, ok := Classify("GET", "/v1/chat/completions"); ok {
		t.Error("GET of a POST path is known")
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
