package gpubackend

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The member that is to blame is named as the caller wrote it.
func TestParamIsTheCallersOwnWord(t *testing.T) {
	_, front := start(t)
	for body, want := range map[string]string{
		`{"prompt":"Hi","max_tokens":1.5}`:                         "max_tokens",
		`{"prompt":"Hi","temperature":"hot"}`:                      "temperature",
		`{"prompt":"Hi","stream_options":{"include_usage":"yes"}}`: "stream_options.include_usage",
		`{"messages":[{"role":7}]}`:                                "messages.role",
		`{"prompt":"Hi","stop":7}`:                                 "stop",
		`{"prompt":"Hi","top_k":-2}`:                               "top_k",
		`{"prompt":"Hi","max_completion_tokens":0}`:                "max_completion_tokens",
	} {
		for _, path := range []string{"/infer", "/v1/chat/completions", "/v1/completions"} {
			_, text := post(t, front, path, body)
			var reply struct{ Error errorBody }
			if err := json.Unmarshal(text, &reply); err != nil {
				t.Fatal(err)
			}
			got := reply.Error
			if path == "/v1/completions" && want == "messages.role" {
				continue // a member that this route does not know
			}
			if got.Param != want || !strings.HasPrefix(got.Message, want) {
				t.Errorf("%s %s: param %q, message %q; want %q", path, body, got.Param, got.Message, want)
			}
		}
	}
}

// In llama.cpp and Ollama, from where the name comes, 0 is no window at all.
func TestRepeatWindowOfNothingPenalisesNothing(t *testing.T) {
	_, front := start(t)
	answer := func(fields string) string {
		var body inferBody
		decode(t, front, "/infer", `{"prompt":"What is a credit?","max_tokens":40,"ignore_eos":true,"temperature":0`+fields+`}`, &body)
		return body.Text
	}
	plain, penalised := answer(""), answer(`,"repeat_penalty":5`)
	if plain == penalised {
		t.Fatalf("the penalty changes nothing: %q", plain)
	}
	if got := answer(`,"repeat_penalty":5,"repeat_last_n":0`); got != plain {
		t.Errorf("with a window of nothing: %q, want %q", got, plain)
	}
}

// FuzzBody sends any body to any route: the reply is a known status and either
// a stream or one JSON value, and nothing stays behind.
func FuzzBody(f *testing.F) {
	paths := []string{"/infer", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/tokenize"}
	for i, body := range []string{
		`{"prompt":"Hi","max_tokens":3,"stop":["a"],"stream":true}`,
		`{"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"max_tokens":3,"n":2,"logprobs":true,"top_logprobs":2}`,
		`{"prompt":[[1,2],[3]],"max_tokens":2,"logit_bias":{"5":-100},"top_p":0.5,"top_k":3,"min_p":0.1}`,
		`{"input":["a",""],"encoding_format":"base64"}`,
		`{"messages":[{"role":"system","content":null}]}`,
	} {
		f.Add(byte(i), body)
	}
	s, err := New(WithThreads(1), WithContext(64))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	f.Fuzz(func(t *testing.T, path byte, body string) {
		request := httptest.NewRequest(http.MethodPost, paths[int(path)%len(paths)], strings.NewReader(body))
		reply := httptest.NewRecorder()
		s.ServeHTTP(reply, request)
		switch reply.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusNotFound:
		default:
			t.Fatalf("%s: %d %s", body, reply.Code, reply.Body)
		}
		text := reply.Body.String()
		if reply.Header().Get("Content-Type") == "text/event-stream" {
			if !strings.HasSuffix(text, "data: [DONE]\n\n") {
				t.Fatalf("%s: the stream ends with %q", body, text)
			}
		} else if !json.Valid([]byte(text)) {
			t.Fatalf("%s: %q is no JSON", body, text)
		}
		if status := s.scheduler.Status(); status.Running+status.Waiting+status.PagesInUse != 0 {
			t.Fatalf("%s left something behind: %+v", body, status)
		}
	})
}
