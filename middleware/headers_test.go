package middleware_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
)

func TestUpstreamsNeitherSeeTheKeyNorBelieveTheCaller(t *testing.T) {
	var seen http.Header
	h := build(t, func(w http.ResponseWriter, r *http.Request) { seen = r.Header.Clone(); chat(w, r) }, ledger.NewKey{})
	for _, header := range [][]string{
		{"Authorization", "Bearer " + h.text},
		{"Authorization", "Token " + h.text},
		{"Authorization", "bearer  " + h.text},
		{"X-Api-Key", h.text},
		{"Api-Key", h.text},
		{"Authorization", "Basic xxx", "X-Api-Key", h.text},
	} {
		seen = nil
		got := h.do("POST", "/v1/chat/completions", plainBody, append(header, "X-Inference-Ms", "1", "X-Penstock-Anything", "1", "X-Other", "kept")...)
		if got.status != 200 || seen.Get("X-Other") != "kept" {
			t.Fatalf("%v: %d %s", header[0], got.status, got.body)
		}
		for name, values := range seen {
			if strings.Contains(strings.Join(values, " "), h.text) || strings.HasPrefix(name, "X-Penstock") || name == "X-Inference-Ms" || name == "Authorization" {
				t.Errorf("the upstream sees %s", name)
			}
		}
	}
}

func TestHeadersThatAreTheGatesAreNotTheUpstreams(t *testing.T) {
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "upstream")
		w.Header().Set("X-Ratelimit-Remaining-Requests", "99999")
		w.Header().Set("X-Penstock-Credits-Charged", "0")
		chat(w, r)
	}, ledger.NewKey{Limits: []limits.Row{{RPM: 5}}})
	for _, body := range []string{plainBody, streamBody} {
		got := h.post("/v1/chat/completions", body)
		if ids := got.header["X-Request-Id"]; len(ids) != 1 || !strings.HasPrefix(ids[0], "req_") {
			t.Errorf("request ids %v", ids)
		}
		if left := strings.Join(got.header["X-Ratelimit-Remaining-Requests"], ""); left != "4" && left != "3" {
			t.Errorf("remaining %q", left)
		}
		if charged := got.header.Get("X-Penstock-Credits-Charged") + got.trailer.Get("X-Penstock-Credits-Charged"); charged == "0" || charged == "" {
			t.Errorf("charged %q", charged)
		}
	}
}

// The client, the upstream, the report and the ledger know a call by the same id. The
// client's own is for logs.
func TestOneRequestIDIsUsedEverywhere(t *testing.T) {
	form := regexp.MustCompile(`^req_[0-9a-f]{24}$`)
	var seen http.Header
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		r.Header["X-Request-Id"][0] = "changed" // as a handler that rewrites headers may do
		chat(w, r)
	}, ledger.NewKey{}, middleware.WithAllowUnmetered("/docs"))
	for n, path := range []string{"/v1/chat/completions", "/docs", "/nowhere"} {
		seen = nil
		got := h.post(path, plainBody, "X-Request-Id", "mine "+strings.Repeat("x", 999), "Request-Id", "other")
		id := got.header.Get("X-Request-Id")
		if !form.MatchString(id) || got.header.Get("Request-Id") != id {
			t.Errorf("%s: the client gets %q and %q", path, id, got.header.Get("Request-Id"))
		}
		if path == "/nowhere" {
			if !strings.Contains(got.body, `"request_id":"`+id+`"`) {
				t.Errorf("the error names another id than %s: %s", id, got.body)
			}
		} else if !slices.Equal(seen["X-Request-Id"], []string{id}) || seen["Request-Id"] != nil {
			t.Errorf("%s: the upstream gets %q and %q, the client %s", path, seen["X-Request-Id"], seen["Request-Id"], id)
		}
		if path == "/docs" {
			continue // costs nothing and is not reported
		}
		report := h.reports.nth(t, n/2+1)
		if report.RequestID != id || !strings.HasPrefix(report.ClientRequestID, "minexxx") || len(report.ClientRequestID) > 128 {
			t.Errorf("%s: reported as %s, by the client as %q", path, report.RequestID, report.ClientRequestID)
		}
	}
	if entries := h.entries(); len(entries) != 1 || entries[0].RequestID != h.reports.nth(t, 1).RequestID {
		t.Errorf("the entries are %+v", entries)
	}
}

func TestAnthropicLimitHeadersOnStreams(t *testing.T) {
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
	}, ledger.NewKey{Limits: []limits.Row{{RPM: 5, TPM: 1000}}})
	got := h.post("/v1/messages", `{"model":"m","max_tokens":5,"stream":true,"messages":[]}`)
	reset, err := time.Parse(time.RFC3339, got.header.Get("Anthropic-Ratelimit-Requests-Reset"))
	if got.header.Get("Anthropic-Ratelimit-Requests-Limit") != "5" || got.header.Get("Anthropic-Ratelimit-Requests-Remaining") != "4" ||
		got.header.Get("Anthropic-Ratelimit-Tokens-Limit") != "1000" || err != nil || time.Until(reset) < 50*time.Second {
		t.Errorf("%v %v", got.header, err)
	}
}

func TestPagesOfAllowedOriginsMayCall(t *testing.T) {
	h := build(t, chat, ledger.NewKey{Limits: []limits.Row{{RPM: 100}}})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Access-Control-Allow-Origin", "https://theirs.example") // as ReverseProxy copies it
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		chat(w, r)
	}, middleware.WithCORS("https://chat.example.com", "http://localhost:3000"), middleware.WithAllowUnmetered("/free"))
	const page = "https://chat.example.com"
	asks := []string{"Origin", page, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type"}
	got := h.do("OPTIONS", "/v1/chat/completions", "", asks...)
	if got.status != 204 || got.body != "" || got.header.Get("Access-Control-Allow-Origin") != page ||
		got.header.Get("Access-Control-Allow-Headers") != "authorization,content-type" || !strings.Contains(got.header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("preflight: %d %v", got.status, got.header)
	}
	for _, headers := range [][]string{
		{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, {"Access-Control-Request-Method", "POST"}, {"Origin", page}, {"Origin", "null", "Access-Control-Request-Method", "POST"},
	} {
		if got := h.do("OPTIONS", "/v1/chat/completions", "", headers...); got.status != 401 {
			t.Errorf("no preflight of a page that may call, %v: %d", headers, got.status)
		}
	}
	for _, call := range []struct {
		path, key, body string
		status          int
	}{
		{"/v1/chat/completions", h.text, plainBody, 200},
		{"/v1/chat/completions", h.text, streamBody, 200},
		{"/v1/chat/completions", "wrong", plainBody, 401},
		{"/v1/files", h.text, plainBody, 404},
		{"/v1/chat/completions", h.text, "{", 400},
		{"/free", h.text, "", 400},
		{"/v1/models", h.text, "", 405},
	} {
		for _, origin := range []string{page, "http://localhost:3000", "https://evil.example", ""} {
			header := []string{"X-Api-Key", call.key}
			want := []string(nil)
			if origin != "" {
				header = append(header, "Origin", origin)
			}
			if origin == page || origin == "http://localhost:3000" {
				want = []string{origin}
			}
			got := h.do("POST", call.path, call.body, header...)
			if got.status != call.status || !slices.Equal(got.header["Access-Control-Allow-Origin"], want) || got.header.Get("Access-Control-Allow-Credentials") != "" ||
				strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "X-Penstock-Credits-Charged") != (want != nil) || !strings.Contains(strings.Join(got.header["Vary"], ","), "Origin") {
				t.Errorf("%s from %q: %d %v", call.path, origin, got.status, got.header)
			}
		}
	}
}

func TestOriginsAreClosedUnlessTheyAreOpened(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	if got := h.do("OPTIONS", "/v1/chat/completions", "", "Origin", "https://chat.example.com", "Access-Control-Request-Method", "POST"); got.status != 401 || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", got.status, got.header)
	}
	h.wrap(chat, middleware.WithCORS("*"))
	got := h.post("/v1/chat/completions", plainBody, "Origin", "null")
	if got.status != 200 || got.header.Get("Access-Control-Allow-Origin") != "*" || got.header.Get("Vary") != "" {
		t.Errorf("%d %v", got.status, got.header)
	}
}

// ownPaths are a path of a model and one that passes without a meter.
var ownPaths = []string{"/v1/chat/completions", "/docs"}

func TestHeadersAboutTheUpstreamAreNotPassedOn(t *testing.T) {
	upstream := func(w http.ResponseWriter, r *http.Request) {
		for _, name := range middleware.ReplyHeaders() {
			w.Header().Set(name, "theirs")
		}
		w.Header().Set("X-Penstock-Anything", "theirs")
		w.Header().Set("X-Other", "theirs")
		w.Header().Set(http.TrailerPrefix+"X-Penstock-More", "theirs")
		chat(w, r)
	}
	h := build(t, upstream, ledger.NewKey{}, middleware.WithAllowUnmetered("/docs"))
	for _, body := range []string{plainBody, streamBody} {
		for _, path := range ownPaths {
			got := h.post(path, body)
			for _, name := range append(middleware.ReplyHeaders(), "X-Penstock-Anything") {
				if got.header[name] != nil || got.trailer["X-Penstock-More"] != nil {
					t.Errorf("%s: the client gets %s %q, trailers %v", path, name, got.header[name], got.trailer)
				}
			}
			if got.header.Get("X-Other") != "theirs" {
				t.Errorf("%s: another header was lost: %v", path, got.header)
			}
		}
	}
	h = build(t, upstream, ledger.NewKey{}, middleware.WithAllowUnmetered("/docs"), middleware.WithReplyHeaders("set-cookie", "Server"))
	for _, path := range ownPaths {
		got := h.post(path, plainBody)
		for _, name := range middleware.ReplyHeaders() {
			want := name == "Set-Cookie" || name == "Server"
			if (got.header.Get(name) == "theirs") != want {
				t.Errorf("%s: %s %q, should it pass: %t", path, name, got.header[name], want)
			}
		}
	}
}

func TestHeadersOfHandlersInFrontOfTheGateStay(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	gate := middleware.New(h.ledger, h.limiter, middleware.WithAllowUnmetered("/docs"))
	proxied := gate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Del("Server") // as Caddy's reverse_proxy does before it copies the upstream's
		w.Header().Add("Server", "theirs")
		w.Header().Add("Set-Cookie", "theirs=1")
		r.URL.Path = ownPaths[0]
		chat(w, r)
	}))
	h.gateway.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies := make([]string, 1, 4) // with room in which another value could be written
		cookies[0] = "ours=1"
		w.Header()["Set-Cookie"] = cookies
		w.Header().Set("Server", "ours")
		proxied.ServeHTTP(w, r)
	})
	for _, path := range ownPaths {
		got := h.post(path, plainBody)
		if !slices.Equal(got.header["Set-Cookie"], []string{"ours=1"}) || !slices.Equal(got.header["Server"], []string{"ours"}) {
			t.Errorf("%s: %v", path, got.header)
		}
	}
}

func TestAHintOfAnUpstreamSaysNothingThatIsTheGates(t *testing.T) {
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"X-Penstock-Credits-Charged", "X-Request-Id", "X-Ratelimit-Remaining-Requests", "Set-Cookie", "X-Inference-Ms"} {
			w.Header().Set(name, "7")
		}
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		chat(w, r)
	}, ledger.NewKey{}, middleware.WithAllowUnmetered("/docs"))
	for _, path := range ownPaths {
		hints := 0
		trace := &httptrace.ClientTrace{Got1xxResponse: func(_ int, header textproto.MIMEHeader) error {
			hints++
			for name, values := range header {
				if name != "Link" && slices.Contains(values, "7") {
					t.Errorf("%s: the hint says %s: %q", path, name, values)
				}
			}
			if header.Get("Link") == "" {
				t.Errorf("%s: the hint lost its link: %v", path, header)
			}
			return nil
		}}
		request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "POST", h.gateway.URL+path, strings.NewReader(plainBody))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Api-Key", h.text)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if hints != 1 {
			t.Errorf("%s: %d hints", path, hints)
		}
	}
}

// net/http panics at a status below 100.
func TestAStatusThatDoesNotExistIsAFailureOfTheUpstream(t *testing.T) {
	for _, path := range ownPaths {
		for _, status := range []int{0, 7, 99, 101, 600, 1000} {
			h := build(t, chat, ledger.NewKey{})
			gate := middleware.New(h.ledger, h.limiter, middleware.WithAllowUnmetered("/docs"))
			handler := gate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "3")
				w.WriteHeader(status)
				io.WriteString(w, "xyz")
			}))
			if status == 101 && path == ownPaths[0] {
				continue // is not final: what follows is the answer
			}
			request := httptest.NewRequest("POST", path, strings.NewReader(plainBody))
			request.Header.Set("X-Api-Key", h.text)
			got := httptest.NewRecorder()
			handler.ServeHTTP(got, request)
			if got.Code != 502 || !strings.Contains(got.Body.String(), `"code":"upstream_failed"`) || strings.Contains(got.Body.String(), "xyz") {
				t.Errorf("%s, %d: %d %s", path, status, got.Code, got.Body)
			}
		}
	}
}
