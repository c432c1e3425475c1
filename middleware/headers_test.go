package middleware_test

import (
	"io"
	"net/http"
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
