package middleware_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// TestBadInputIsAnsweredAndChargesNothing sends what no client library would.
func TestBadInputIsAnsweredAndChargesNothing(t *testing.T) {
	h := build(t, func(http.ResponseWriter, *http.Request) { t.Error("reached the upstream") }, ledger.NewKey{}, middleware.WithHoldTimeout(time.Minute))
	deep := strings.Repeat(`{"a":`, 100_000)
	for name, test := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"deeply nested":    {`{"model":"tiny","x":` + deep, 400, "nested too deeply"},
		"repeated members": {`{"model":"tiny","max_tokens":1,"max_tokens":99999}`, 400, "appears twice"},
		"model a number":   {`{"model":7,"messages":[]}`, 400, "must be a string"},
		"negative cap":     {`{"model":"tiny","max_tokens":-1}`, 400, "must be a whole number"},
		"huge cap":         {`{"model":"tiny","max_tokens":9223372036854775807}`, 400, "must be a whole number"},
		"large cap":        {`{"model":"tiny","max_tokens":1073741824,"n":128}`, 400, "too many for one call"},
		"costly cap":       {`{"model":"tiny","max_tokens":1073741824}`, 402, "insufficient_quota"},
		"a million":        {`{"model":"tiny","n":1000000}`, 400, "must be a whole number"},
		"invalid UTF-8":    {"{\"model\":\"tiny\xc3\x28\"}", 400, "not valid UTF-8"},
		"empty":            {"", 400, "must be a JSON object"},
		"too large by one": {`{"model":"` + strings.Repeat("a", 10<<20-11) + `"}`, 413, "larger than 10485760 bytes"},
		"largest allowed":  {`{"model":"tiny","x":"` + strings.Repeat("a", 10<<20-22) + `"`, 400, "not valid JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "costly cap" {
				if err := h.ledger.SetPrice(t.Context(), "tiny", ledger.Price{Output: ledger.Credit, Request: 1}); err != nil {
					t.Fatal(err)
				}
			}
			got := h.post("/v1/chat/completions", test.body)
			if got.status != test.status || !strings.Contains(got.body, test.says) {
				t.Errorf("%d %.300s", got.status, got.body)
			}
		})
	}
	h.untouched()
}

// raw sends bytes as they are and returns the status line.
func (h *house) raw(t *testing.T, text string, closeWrite bool) string {
	t.Helper()
	connection, err := net.Dial("tcp", h.gateway.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(connection, text)
	if closeWrite {
		connection.(*net.TCPConn).CloseWrite()
	}
	line, _ := bufio.NewReader(connection).ReadString('\n')
	return strings.TrimSpace(line)
}

func TestBrokenRequestsOnTheWire(t *testing.T) {
	h := build(t, func(http.ResponseWriter, *http.Request) { t.Error("reached the upstream") }, ledger.NewKey{})
	start := "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + h.text + "\r\n"
	if line := h.raw(t, start+"Content-Length: 500\r\n\r\n"+plainBody, true); line != "HTTP/1.1 400 Bad Request" {
		t.Errorf("a body shorter than its length: %q", line)
	}
	if line := h.raw(t, start+"Content-Length: 11000000\r\n\r\n", false); line != "HTTP/1.1 413 Request Entity Too Large" {
		t.Errorf("a declared length that is too large: %q", line)
	}
	if line := h.raw(t, start+"Transfer-Encoding: chunked\r\n\r\nzz\r\n", true); line != "HTTP/1.1 400 Bad Request" {
		t.Errorf("a broken chunk: %q", line)
	}
	var bomb strings.Builder
	for i := range 30_000 {
		fmt.Fprintf(&bomb, "X-Header-%d: %s\r\n", i, strings.Repeat("x", 40))
	}
	if line := h.raw(t, start+bomb.String()+"\r\n", false); !strings.HasPrefix(line, "HTTP/1.1 431") && line != "" {
		t.Errorf("too many headers: %q", line)
	}
	twice := "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer " + h.text + "\r\nContent-Length: 2\r\n\r\n{}"
	if line := h.raw(t, twice, false); line != "HTTP/1.1 401 Unauthorized" {
		t.Errorf("two keys: %q", line)
	}
	h.untouched()
}

// The gate has read the whole body and sends one of its own: what the caller said
// of how its body comes is over.
func TestHowABodyCameGoesNoFurther(t *testing.T) {
	var seen http.Header
	var trailer http.Header
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		seen, trailer = r.Header.Clone(), r.Trailer.Clone()
		chat(w, r)
	})
	request, err := http.NewRequest("POST", h.gateway.URL+"/v1/chat/completions", io.MultiReader(strings.NewReader(plainBody)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Authorization": {"Bearer " + h.text}, "Expect": {"100-continue"}}
	request.Trailer = http.Header{"X-Late": {"yes"}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	if response.StatusCode != 200 || seen["Expect"] != nil || len(trailer) != 0 {
		t.Errorf("%d; the upstream is told %v and %v", response.StatusCode, seen, trailer)
	}
}

func TestAReportNamesNoModelThatIsNotKnown(t *testing.T) {
	h := build(t, chat, ledger.NewKey{}, middleware.WithModels(middleware.Model{Name: "small"}))
	if got := h.post("/v1/chat/completions", plainBody); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if report := h.reports.nth(t, 1); report.Model != "" {
		t.Errorf("the report names %q", report.Model)
	}
}

func TestAModelInAPathIsNoLongerThanOneInABody(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	if got := h.post("/api/v2/execute/"+strings.Repeat("x", 300), `{"text":"hi"}`); got.status != 404 {
		t.Errorf("%d %.200s", got.status, got.body)
	}
	h.untouched()
}

// However a path is written, no call gets past the gate without a meter.
func TestHostileCallers(t *testing.T) {
	h := build(t, func(w http.ResponseWriter, r *http.Request) { t.Error("reached the upstream: " + r.URL.String()) }, ledger.NewKey{},
		middleware.WithModels(middleware.Model{Name: "tiny"}))
	bodies := map[string]string{
		"/v1/chat/completions": plainBody, "/v1/completions": `{"model":"tiny","prompt":"hi"}`, "/v1/embeddings": `{"model":"tiny","input":"hi"}`,
		"/v1/responses": `{"model":"tiny","input":"hi"}`, "/v1/messages": plainBody, "/api/infer": `{"model":"tiny","prompt":"hi"}`,
		"/api/v1/model": `{"model":"tiny","prompt":"hi"}`, "/api/generate": `{"model":"tiny","prompt":"hi"}`, "/api/chat": plainBody,
		"/api/embed": `{"model":"tiny","input":"hi"}`, "/completion": `{"prompt":"hi"}`, "/generate": `{"inputs":"hi"}`,
		"/generate_stream": `{"inputs":"hi"}`, "/api/v2/execute/tiny": `{"text":"hi"}`, "/api/v1/execute/tiny": `{"text":"hi"}`,
	}
	for path, body := range bodies {
		last := path[len(path)-1:]
		for _, written := range []string{
			"//" + path, path + "/", path + "//", "/." + path, "/x/.." + path, strings.ToUpper(path), path + "%00/", path + ";a=b/", path + "%2f",
			strings.TrimSuffix(path, last) + fmt.Sprintf("%%%x", last) + "/", strings.Replace(path, "/", "/%2e%2e/", 1),
		} {
			if got := h.post(written, body); got.status != 404 && got.status != 400 {
				t.Errorf("POST %s: %d %.200s", written, got.status, got.body)
			}
		}
		for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "post", "TRACE"} {
			if got := h.do(method, path, body, "X-Api-Key", h.text); got.status != 405 {
				t.Errorf("%s %s: %d %.200s", method, path, got.status, got.body)
			}
		}
		for _, hostile := range []string{
			`{"mod\u0065l":"big",` + body[1:], `{"model":"big","model":"tiny",` + body[1:], `{"max_tokens":1,"MAX_TOKENS":9,` + body[1:],
			`{"stre\u0061m":true,` + body[1:], body + body, "[" + body + "]", `{"n":1000000,` + body[1:], `{"x":` + strings.Repeat("[", 1000) + `,` + body[1:],
		} {
			got := h.post(path, hostile)
			if got.status != 400 && got.status != 404 {
				t.Errorf("%s with %.60s: %d %.200s", path, hostile, got.status, got.body)
			}
		}
	}
	h.untouched()
}

// A call with a floor of its own must leave room for it under the cap that it gets.
func TestAFloorAboveTheCapIsRefused(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	for body, want := range map[string]int{
		`{"model":"tiny","messages":[],"min_tokens":513}`:                  400,
		`{"model":"tiny","messages":[],"min_tokens":512}`:                  200,
		`{"model":"tiny","messages":[],"min_tokens":600,"max_tokens":600}`: 200,
		`{"model":"tiny","messages":[],"min_tokens":600,"max_tokens":599}`: 400,
		`{"model":"tiny","messages":[],"n_cmpl":900}`:                      400,
	} {
		if got := h.post("/v1/chat/completions", body); got.status != want {
			t.Errorf("%s: %d %s, want %d", body, got.status, got.body, want)
		}
	}
}

func TestStrictMembersIsAnOption(t *testing.T) {
	const body = `{"model":"tiny","messages":[],"copies":900}`
	h := build(t, chat, ledger.NewKey{})
	if got := h.post("/v1/chat/completions", body); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	h = build(t, chat, ledger.NewKey{}, middleware.WithStrictMembers())
	if got := h.post("/v1/chat/completions", body); got.status != 400 || !strings.Contains(got.body, "copies") {
		t.Errorf("strict: %d %s", got.status, got.body)
	}
}
