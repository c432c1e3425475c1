package dialect

import "testing"

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
		{"ollama, a cap that it does not obey", "/api/chat", `{"max_tokens":5}`, `{"options":{"num_predict":5},"max_tokens":5}`, Rewrite{OutputCap: 5}},
		{"ollama, a null that it does not obey", "/api/chat", `{"max_tokens":null}`, `{"options":{"num_predict":5},"max_tokens":null}`, Rewrite{OutputCap: 5}},
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
