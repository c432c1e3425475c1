package forward_test

import (
	"bufio"
	"fmt"
	"net/http"
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
		if differs(reply) {
			t.Skip()
		}
		request := post
		if head {
			request = requests["head"]
		}
		s.compare(t, request, 1, script{replies: []string{reply}, closes: true})
	})
}

// differs says that a reply has a status at which the two differ: where Caddy answers with an
// empty 200 (101, unasked) or panics (below 100), ours answers with 502.
func differs(reply string) bool {
	in := bufio.NewReader(strings.NewReader(reply))
	for {
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			return false
		}
		if status := response.StatusCode; status < 100 || status >= 200 || status == http.StatusSwitchingProtocols {
			return status < 200
		}
	}
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
