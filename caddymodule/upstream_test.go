package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// upstream is a server that speaks the OpenAI chat API: it answers "one two
// three" in three chunks and waits before each for a permit, if it has permits.
type upstream struct {
	*httptest.Server
	permits chan struct{} // nil: never wait
	calls   atomic.Int64
	seen    chan http.Header // headers of the first calls
}

func newUpstream(t *testing.T, permits chan struct{}) *upstream {
	t.Helper()
	u := &upstream{permits: permits, seen: make(chan http.Header, 1000)}
	u.Server = httptest.NewServer(u)
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) address() string { return strings.TrimPrefix(u.URL, "http://") }

const chatUsage = `{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}`

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.calls.Add(1)
	select {
	case u.seen <- r.Header.Clone():
	default: // nobody looks at so many
	}
	var request struct {
		Stream bool `json:"stream"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !request.Stream {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"one two three"}}],"usage":%s}`, chatUsage)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, word := range []string{"one", " two", " three"} {
		if u.permits != nil {
			select {
			case <-u.permits:
			case <-r.Context().Done():
				return
			}
		}
		fmt.Fprintf(w, "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", word)
		w.(http.Flusher).Flush()
	}
	fmt.Fprintf(w, "data: {\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":%s}\n\ndata: [DONE]\n\n", chatUsage)
}

// answer is a reply of the gateway.
type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a request with a key and reads the whole reply.
func call(t *testing.T, method, url, key, body string) answer {
	t.Helper()
	response, err := http.DefaultClient.Do(newRequest(t, method, url, key, body))
	for attempt := 1; err != nil && attempt < 5; attempt++ {
		// While a server is replaced the kernel may give a connection to the one that
		// goes and then reset it, before any handler sees the request.
		response, err = http.DefaultClient.Do(newRequest(t, method, url, key, body))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range response.Trailer {
		response.Header[name] = values
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

func newRequest(t *testing.T, method, url, key, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	return request
}

// chat is the body of a chat call.
func chat(stream bool) string {
	return fmt.Sprintf(`{"model":"tiny","stream":%t,"max_tokens":100,"messages":[{"role":"user","content":"Count."}]}`, stream)
}
