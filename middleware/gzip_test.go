package middleware_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

func pack(text string) string {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	io.WriteString(w, text)
	w.Close()
	return packed.String()
}

func TestPackedBodies(t *testing.T) {
	var seen string
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = string(body)
		if r.Header.Get("Content-Encoding") != "" || r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("encodings %v", r.Header)
		}
		w.Header().Set("Content-Encoding", "gzip") // although nobody asked
		text := chatReply
		if strings.Contains(seen, `"stream":true`) {
			w.Header().Set("Content-Type", "text/event-stream")
			text = wordEvent + finishEvent + usageEvent + doneEvent
		}
		for _, piece := range strings.SplitAfter(pack(text), "\n") {
			io.WriteString(w, piece)
			w.(http.Flusher).Flush()
		}
	}, ledger.NewKey{}, middleware.WithMaxBody(1000))
	got := h.post("/v1/chat/completions", pack(plainBody), "Content-Encoding", "gzip")
	if got.status != 200 || seen != plainBody || got.body != chatReply || got.header.Get("Content-Encoding") != "" {
		t.Errorf("%d %s, the upstream saw %s", got.status, got.body, seen)
	}
	got = h.post("/v1/chat/completions", streamBody)
	if got.status != 200 || got.body != wordEvent+finishEvent+doneEvent {
		t.Errorf("%d %q", got.status, got.body)
	}
	for i, entry := range h.entries() {
		if entry.Usage != ledger.UsageReported || entry.Quantity.InputTokens != 9 {
			t.Errorf("call %d: %+v", i, entry)
		}
	}
	bomb := pack(`{"model":"tiny","x":"` + strings.Repeat("a", 1<<20) + `"}`)
	if got = h.post("/v1/chat/completions", bomb[:min(len(bomb), 900)], "Content-Encoding", "gzip"); got.status != 400 && got.status != 413 {
		t.Errorf("a bomb: %d %s", got.status, got.body)
	}
	if got = h.post("/v1/chat/completions", pack(`{"model":"tiny","x":"`+strings.Repeat("a", 2000)+`"}`), "Content-Encoding", "gzip"); got.status != 413 {
		t.Errorf("more than allowed once unpacked: %d %s", got.status, got.body)
	}
	if got = h.post("/v1/chat/completions", plainBody, "Content-Encoding", "br"); got.status != 415 {
		t.Errorf("an unknown encoding: %d %s", got.status, got.body)
	}
	if got = h.post("/v1/chat/completions", plainBody, "Content-Encoding", "gzip"); got.status != 400 {
		t.Errorf("not packed at all: %d %s", got.status, got.body)
	}
}

func TestAllContentEncodingLinesAreRead(t *testing.T) {
	const body = `{"model":"tiny","messages":[]}`
	for _, test := range []struct {
		lines  []string
		packed int // times
		status int
	}{
		{nil, 0, 200},
		{[]string{"identity"}, 0, 200},
		{[]string{"identity", "gzip"}, 1, 200},
		{[]string{"", "X-GZIP"}, 1, 200},
		{[]string{"identity, gzip ,"}, 1, 200},
		{[]string{"gzip", "identity"}, 1, 200},
		{[]string{"gzip", "gzip"}, 2, 415},
		{[]string{"gzip, gzip"}, 2, 415},
		{[]string{"identity", "br"}, 0, 415},
		{[]string{"gzip", "br"}, 1, 415},
		{[]string{"gzip;q=1"}, 1, 415},
	} {
		h := build(t, chat, ledger.NewKey{})
		sent := body
		for range test.packed {
			sent = pack(sent)
		}
		request := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(sent))
		request.Header["Content-Encoding"] = test.lines
		request.Header.Set("Authorization", "Bearer "+h.text)
		answer := httptest.NewRecorder()
		middleware.New(h.ledger, h.limiter)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got, _ := io.ReadAll(r.Body); !strings.Contains(string(got), `"messages":[]`) || len(r.Header.Values("Content-Encoding")) > 0 {
				t.Errorf("%q: the upstream gets %q, encoded as %q", test.lines, got, r.Header.Values("Content-Encoding"))
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, chatReply)
		})).ServeHTTP(answer, request)
		if answer.Code != test.status {
			t.Errorf("%q: %d %s, want %d", test.lines, answer.Code, answer.Body, test.status)
		}
	}
}
