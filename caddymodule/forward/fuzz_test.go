package forward_test

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzReplies compares what a client sees of a reply of any bytes, after which the upstream
// closes the connection.
func FuzzReplies(f *testing.F) {
	for _, table := range []map[string]script{replies, broken} {
		for _, act := range table {
			if len(act.replies[0]) < 1<<10 {
				f.Add(act.replies[0], false)
				f.Add(act.replies[0], true)
			}
		}
	}
	s := startTwins(f)
	f.Fuzz(func(t *testing.T, reply string, head bool) {
		if strings.Contains(reply, " 101") || strings.Contains(reply, " 0") {
			t.Skip() // Caddy answers 200 to the first, and panics at statuses below 100
		}
		request := post
		if head {
			request = requests["head"]
		}
		s.compare(t, request, 1, script{replies: []string{reply}, closes: true})
	})
}

// FuzzRequests compares what the upstream sees of a request of any parts.
func FuzzRequests(f *testing.F) {
	f.Add("GET", "/", "Connection", "x-a", "")
	f.Add("POST", "/a?b", "X-A", " b ", "body")
	f.Add("PUT", "//a%2f?%", "Te", "trailers", "")
	f.Add("DELETE", "*", "Transfer-Encoding", "chunked", "0\r\n\r\n")
	f.Add("HEAD", "http://a/b", "Via", "1.0 a", "")
	f.Add("A", "/\x80", "Upgrade", "h2c", "abc")
	f.Add("OPTIONS", "/", "X-Forwarded-For", "a\tb", "")
	f.Add("PATCH", "/a b", "Host", "b", "")
	s := startTwins(f)
	f.Fuzz(func(t *testing.T, method, target, name, value, body string) {
		if strings.ContainsAny(method+target+name+value, "\r\n") || strings.HasPrefix(method, "CONNECT") {
			t.Skip() // would be other requests than what is compared
		}
		length := ""
		if body != "" {
			length = fmt.Sprintf("Content-Length: %d\r\n", len(body))
		}
		request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: a\r\n%s: %s\r\n%s\r\n%s", method, target, name, value, length, body)
		s.compare(t, request, 1, script{replies: []string{"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"}})
	})
}
