//go:build linux

package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

const usage = `{"prompt_tokens":200,"completion_tokens":100,"total_tokens":300}`

// answers serves one answer of some 600 bytes after working on it for a time. It is
// no http.Server, which would
// take more of the core that it shares with the callers than they do, and leave
// the gateway idle.
func answers(b *testing.B, works time.Duration) string {
	body := `{"id":"a","object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"` +
		strings.Repeat("word ", 80) + `"}}],"usage":` + usage + `}`
	reply := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				in := bufio.NewReader(connection)
				for {
					if _, err := skipMessage(in); err != nil {
						return
					}
					time.Sleep(works)
					if _, err := connection.Write(reply); err != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// skipMessage reads a request or a reply that has a length to its end and returns
// its first line.
func skipMessage(in *bufio.Reader) (first string, err error) {
	length := int64(0)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return first, err
		}
		if first == "" {
			first = string(line)
		}
		if len(line) == len("\r\n") {
			_, err = in.Discard(int(length))
			return first, err
		}
		if name, value, _ := bytes.Cut(line, []byte(": ")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return first, err
			}
		}
	}
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
