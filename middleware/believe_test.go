package middleware_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// claims is an upstream that reports 6095 input tokens, as for an image, and 700 of
// output.
func claims(trusted bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		middleware.NoteUpstream(r.Context(), middleware.Upstream{Address: "vision:8000", Trusted: trusted})
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, strings.NewReplacer(`"prompt_tokens":9`, `"prompt_tokens":6095`, `"completion_tokens":3`, `"completion_tokens":700`).Replace(chatReply))
	}
}

// dear is a price of 0.001 credits for a token.
var dear = ledger.Price{Input: 1000 * ledger.Credit, Output: 1000 * ledger.Credit}

func TestATrustedUpstreamIsBelievedAsFarAsThereIsCredit(t *testing.T) {
	for _, test := range []struct {
		funds, budget, charged, lost ledger.Micro
	}{
		{10 * ledger.Credit, 10 * ledger.Credit, 6_795_000, 0},
		{2 * ledger.Credit, 10 * ledger.Credit, 2_000_000, 4_795_000},
		{10 * ledger.Credit, 3 * ledger.Credit, 3_000_000, 3_795_000},
	} {
		var log bytes.Buffer
		inBank(t, claims(true), func(t *testing.T, b *bank) {
			if err := b.ledger.SetPrice(t.Context(), "tiny", dear); err != nil {
				t.Fatal(err)
			}
			b.account("a", test.funds)
			key, secret, err := b.ledger.CreateKey(t.Context(), ledger.NewKey{Name: "k", Owner: "a", HasBudget: true, Budget: test.budget})
			if err != nil {
				t.Fatal(err)
			}
			if got := b.call(secret.Reveal(), plainBody); got.Code != 200 {
				t.Fatal(got.Code, got.Body)
			}
			report := b.reports.nth(t, 1)
			if report.Charge.Amount != test.charged || report.Charge.WriteOff != test.lost || report.InputTokens != 6095 || report.CutInputTokens != 0 {
				t.Errorf("%+v", report)
			}
			var lost ledger.Micro
			entries, err := b.ledger.Entries(t.Context(), 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if entry.Kind == ledger.KindWriteOff && entry.RequestID == report.RequestID && entry.KeyID == key.ID {
					lost += entry.Amount
				}
			}
			if lost != test.lost || strings.Contains(log.String(), "written_off") != (lost > 0) {
				t.Errorf("%s in the ledger, the log says %q", lost, log.String())
			}
		}, middleware.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	}
}

func TestWhatAnUntrustedUpstreamReportsBeyondTheCallIsCutAndTold(t *testing.T) {
	var log bytes.Buffer
	inBank(t, claims(false), func(t *testing.T, b *bank) {
		if err := b.ledger.SetPrice(t.Context(), "tiny", dear); err != nil {
			t.Fatal(err)
		}
		key := b.account("a", 10*ledger.Credit)
		for range 5 {
			if got := b.call(key, plainBody); got.Code != 200 {
				t.Fatal(got.Code, got.Body)
			}
		}
		most := int64(len(plainBody) + 64)
		report := b.reports.nth(t, 1)
		if report.InputTokens != most || report.OutputTokens != 50 || report.CutInputTokens != 6095-most || report.CutOutputTokens != 650 {
			t.Errorf("%+v", report)
		}
		if want := ledger.Micro(most+50) * 1000; report.Charge.Amount != want || report.Charge.WriteOff != 0 {
			t.Errorf("charge %+v, want %s", report.Charge, want)
		}
		if lines := strings.Count(log.String(), "upstream=vision:8000"); lines != 1 || strings.Contains(log.String(), key) {
			t.Errorf("%d lines: %s", lines, log.String())
		}
	}, middleware.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
}
