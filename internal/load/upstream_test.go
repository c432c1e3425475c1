//go:build linux

package load

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const usage = `{"prompt_tokens":200,"completion_tokens":100,"total_tokens":300}`

// answers serves one answer of some 600 bytes.
func answers(b *testing.B) string {
	reply := []byte(`{"id":"a","object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"` +
		strings.Repeat("word ", 80) + `"}}],"usage":` + usage + `}`)
	return serve(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(reply)
	})
}

// streams serves a stream of chunks, one each interval.
func streams(b *testing.B, chunks int, interval time.Duration) string {
	chunk := `data: {"id":"a","object":"chat.completion.chunk","created":1700000000,"model":"tiny","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}` + "\n\n"
	end := fmt.Sprintf(`data: {"id":"a","object":"chat.completion.chunk","choices":[],"usage":%s}`+"\n\ndata: [DONE]\n\n", usage)
	return serve(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		control := http.NewResponseController(w)
		for range chunks {
			<-ticker.C
			_, _ = io.WriteString(w, chunk)
			_ = control.Flush()
		}
		_, _ = io.WriteString(w, end)
	})
}

func serve(b *testing.B, handler http.HandlerFunc) string {
	server := httptest.NewServer(handler)
	b.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}
