package middleware_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
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
