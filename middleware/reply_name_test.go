package middleware_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// namedReplies are what upstreams answer to a path, with @ for the name of the model.
var namedReplies = map[string]struct{ path, body, media, reply string }{
	"chat": {
		"/v1/chat/completions", `{"model":"tiny","messages":[{"role":"user","content":"hi"}]}`, "application/json",
		`{"id":"c1","model":"@","choices":[{"index":0,"message":{"role":"assistant","content":"I am org/tiny-8b"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}`,
	},
	"a long chat": {
		"/v1/chat/completions", `{"model":"tiny","messages":[{"role":"user","content":"hi"}]}`, "application/json",
		`{"choices":[{"index":0,"message":{"content":"` + strings.Repeat("a word ", 20_000) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3},"model":"@"}`,
	},
	"chat stream": {
		"/v1/chat/completions", `{"model":"tiny","stream":true,"messages":[{"role":"user","content":"hi"}]}`, "text/event-stream",
		"data: {\"model\":\"@\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"org/tiny-8b\"}}]}\n\n" +
			"data: {\"model\":\"@\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
	},
	"embeddings": {
		"/v1/embeddings", `{"model":"tiny","input":"hi"}`, "application/json",
		`{"object":"list","model":"@","data":[{"embedding":[1]}],"usage":{"prompt_tokens":1,"total_tokens":1}}`,
	},
	"message": {
		"/v1/messages", `{"model":"tiny","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, "application/json",
		`{"type":"message","model":"@","content":[{"type":"text","text":"four"}],"usage":{"input_tokens":9,"output_tokens":3}}`,
	},
	"message stream": {
		"/v1/messages", `{"model":"tiny","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, "text/event-stream",
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"@\",\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n" +
			"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"\\\"model\\\":\\\"org/tiny-8b\\\"\"}}\n\n" +
			"event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":3}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
	},
	"responses stream": {
		"/v1/responses", `{"model":"tiny","stream":true,"input":"hi"}`, "text/event-stream",
		"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"output\":[],\"model\":\"@\"}}\n\n" +
			"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"text\":\"" + strings.Repeat("long ", 20_000) +
			"\"}],\"model\":\"@\",\"usage\":{\"input_tokens\":9,\"output_tokens\":3}}}\n\n",
	},
	"ollama stream": {
		"/api/chat", `{"model":"tiny","messages":[{"role":"user","content":"hi"}]}`, "application/x-ndjson",
		"{\"model\":\"@\",\"message\":{\"role\":\"assistant\",\"content\":\"org/tiny-8b\"},\"done\":false}\n" +
			"{\"model\":\"@\",\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":9,\"eval_count\":3}\n",
	},
}

func TestRepliesNameTheModelAsCallersDo(t *testing.T) {
	for name, test := range namedReplies {
		for _, variant := range []struct {
			name  string
			size  int
			gzip  bool
			sized bool
		}{{"at once", 1 << 20, false, true}, {"in pieces", 7, false, false}, {"compressed", 1 << 20, true, false}} {
			t.Run(name+" "+variant.name, func(t *testing.T) {
				h := build(t, func(w http.ResponseWriter, r *http.Request) {
					if body, _ := io.ReadAll(r.Body); !strings.Contains(string(body), `"org/tiny-8b"`) {
						t.Errorf("the upstream saw %s", body)
					}
					w.Header().Set("Content-Type", test.media)
					reply := strings.ReplaceAll(test.reply, "@", "org/tiny-8b")
					if variant.gzip {
						w.Header().Set("Content-Encoding", "gzip")
						reply = pack(reply)
					}
					for at := 0; at < len(reply); at += variant.size {
						io.WriteString(w, reply[at:min(at+variant.size, len(reply))])
						if at < 1000 && !variant.sized {
							w.(http.Flusher).Flush()
						}
					}
				}, ledger.NewKey{}, middleware.WithModels(middleware.Model{Name: "tiny", UpstreamName: "org/tiny-8b"}))
				got := h.post(test.path, test.body)
				if want := strings.ReplaceAll(test.reply, "@", "tiny"); got.status != 200 || got.readErr != nil || got.body != want {
					t.Errorf("%d %v %.600s\nwant\n%.600s", got.status, got.readErr, got.body, want)
				}
				if entry := h.entries()[0]; entry.Outcome != ledger.OutcomeOK || entry.Usage != ledger.UsageReported && name != "chat stream" {
					t.Errorf("%+v", entry)
				}
			})
		}
	}
}
