package middleware_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/dialect/media"
)

const imageBody = `{"model":"tiny","max_tokens":50,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]}`

// reportsInput is an upstream that reports that many input tokens.
func reportsInput(tokens int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, strings.Replace(chatReply, `"prompt_tokens":9`, `"prompt_tokens":`+strconv.Itoa(tokens), 1))
	}
}

// A call reserves what its image is likely to be, and is charged for at most what it may
// be: an upstream that nobody trusts is not cut for telling the truth.
func TestAnImageOfUnknownSizeReservesTheLikelyAndMayUseTheMost(t *testing.T) {
	const text = len(imageBody) - len("https://example.com/a.png")
	likely := int64((text+3)/4) + 4096 + 50
	for reported, charged := range map[int]int64{16_400: 16_400, 40_000: int64(text) + 16_384 + 64} {
		h := build(t, reportsInput(reported), ledger.NewKey{Limits: []limits.Row{{TPM: likely}}})
		if got := h.post("/v1/chat/completions", imageBody); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		if report := h.reports.nth(t, 1); report.InputTokens != charged {
			t.Errorf("%d tokens are reported, and %d charged, want %d", reported, report.InputTokens, charged)
		}
		_, h.text = h.newKey(ledger.NewKey{Owner: "tight", Limits: []limits.Row{{TPM: likely - 1}}}, ledger.Credit)
		if got := h.post("/v1/chat/completions", imageBody); got.status != 400 || !strings.Contains(got.body, "request_exceeds_limit") {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

func TestMediaCountByTheRulesOfTheirModel(t *testing.T) {
	const text = len(imageBody) - len("https://example.com/a.png")
	fixed := middleware.WithModels(middleware.Model{Name: "tiny", Media: &media.Rules{Image: media.Fixed(256)}})
	likely := int64((text+3)/4) + 256 + 50
	h := build(t, reportsInput(40_000), ledger.NewKey{Limits: []limits.Row{{TPM: likely}}}, fixed)
	if got := h.post("/v1/chat/completions", imageBody); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if report := h.reports.nth(t, 1); report.InputTokens != int64(text)+256+64 {
		t.Errorf("%d tokens are charged", report.InputTokens)
	}
}

func TestAStrictEstimateReservesTheMostOfAnImage(t *testing.T) {
	const text = len(imageBody) - len("https://example.com/a.png")
	most := int64(text) + 16_384 + 64 + 50
	for limit, status := range map[int64]int{most: 200, most - 1: 400} {
		h := build(t, reportsInput(10), ledger.NewKey{Limits: []limits.Row{{TPM: limit}}}, middleware.WithStrictEstimate())
		if got := h.post("/v1/chat/completions", imageBody); got.status != status {
			t.Errorf("with %d tokens a minute %d %s, want %d", limit, got.status, got.body, status)
		}
	}
}
