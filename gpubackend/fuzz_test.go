package gpubackend

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

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
