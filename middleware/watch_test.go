package middleware_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

func TestUpstreamHangsPastTheDeadline(t *testing.T) {
	t.Run("before the first byte", func(t *testing.T) {
		stage := newStage()
		h := build(t, stage.serve, ledger.NewKey{}, middleware.WithHoldTimeout(50*time.Millisecond))
		got := h.post("/v1/chat/completions", plainBody)
		if got.status != 504 || !strings.Contains(got.body, `"type":"timeout_error"`) {
			t.Fatalf("%d %s", got.status, got.body)
		}
		within(t, "cancelling the upstream", stage.cancelled)
		h.ended(1, ledger.OutcomeDeadline, ledger.UsageReported, 0, 0, false)
	})
	t.Run("mid-stream", func(t *testing.T) {
		stage := newStage()
		h := build(t, stage.serve, ledger.NewKey{}, middleware.WithHoldTimeout(100*time.Millisecond))
		stage.send <- wordEvent
		got := h.post("/v1/chat/completions", streamBody)
		list := events(got.body)
		if len(list) != 2 || !strings.HasPrefix(list[1], `error {"type":"error","error":{"type":"timeout_error"`) {
			t.Errorf("%q", list)
		}
		within(t, "cancelling the upstream", stage.cancelled)
		h.ended(1, ledger.OutcomeDeadline, ledger.UsageCounted, int64(len(streamBody)+3)/4, 1, true)
	})
}

func TestCreditRunsOutMidStream(t *testing.T) {
	stage := newStage()
	h := build(t, stage.serve, ledger.NewKey{})
	if err := h.ledger.SetPrice(t.Context(), "tiny", ledger.Price{Output: 100_000 * ledger.Credit}); err != nil {
		t.Fatal(err) // 0.1 credits a token: 10 credits pay 100 tokens
	}
	for range 50 {
		stage.send <- strings.Repeat(wordEvent, 4) // an upstream that ignores the cap of 50
	}
	got := h.post("/v1/chat/completions", streamBody)
	list := events(got.body)
	if len(list) == 0 || !strings.HasPrefix(list[len(list)-1], `error {"type":"error","error":{"type":"billing_error","code":"insufficient_quota"`) {
		t.Fatalf("%d events, the last is %q", len(list), list[len(list)-1])
	}
	within(t, "cancelling the upstream", stage.cancelled)
	report := h.reports.nth(t, 1)
	if report.Outcome != ledger.OutcomeCreditExhausted || report.Charge.Amount != 5*ledger.Credit || report.Charge.WriteOff != 0 {
		t.Errorf("%s, charge %+v", report.Outcome, report.Charge)
	}
}

func TestAStreamWhoseHoldCannotGrowIsCutWhenItsTimeIsUsedUp(t *testing.T) {
	stage := newStage()
	h := build(t, stage.serve, ledger.NewKey{}, middleware.WithWatchEvery(5*time.Millisecond), middleware.WithStreamHold(100*time.Millisecond))
	_, h.text = h.newKey(ledger.NewKey{Owner: "poor"}, 2000) // 120 ms of compute
	stage.send <- wordEvent
	got := h.post("/v1/chat/completions", streamBody)
	list := events(got.body)
	if len(list) != 2 || !strings.Contains(list[1], `"code":"insufficient_quota"`) {
		t.Fatalf("%q", list)
	}
	report := h.reports.nth(t, 1)
	account, _ := h.ledger.Account("poor")
	if report.Outcome != ledger.OutcomeCreditExhausted || account.Spent == 0 || account.Available < 0 || account.Held != 0 || report.Charge.WriteOff != 0 {
		t.Errorf("%s, %+v", report.Outcome, account)
	}
}

func TestAStreamGoesOnWhenItsHoldGrows(t *testing.T) {
	stage := newStage()
	h := build(t, stage.serve, ledger.NewKey{}, middleware.WithWatchEvery(5*time.Millisecond), middleware.WithStreamHold(50*time.Millisecond))
	go func() {
		for range 10 {
			stage.send <- wordEvent
			time.Sleep(20 * time.Millisecond)
		}
		stage.send <- finishEvent + usageEvent + doneEvent
		close(stage.send)
	}()
	got := h.post("/v1/chat/completions", streamBody)
	if list := events(got.body); len(list) != 12 || list[11] != "[DONE]" {
		t.Errorf("%q", list)
	}
	report := h.ended(1, ledger.OutcomeOK, ledger.UsageReported, 9, 3, true)
	if report.Compute < 180*time.Millisecond {
		t.Errorf("%s are charged", report.Compute)
	}
}

func TestARevokedKeysStream(t *testing.T) {
	for what, outcome := range map[middleware.OnRevoke]ledger.Outcome{middleware.RevokeAbort: ledger.OutcomeRevoked, middleware.RevokeFinish: ledger.OutcomeOK} {
		stage := newStage()
		h := build(t, stage.serve, ledger.NewKey{}, middleware.WithWatchEvery(5*time.Millisecond), middleware.WithOnRevoke(what))
		stage.send <- wordEvent
		response, err := h.open(t.Context(), streamBody)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.ledger.RevokeKey(t.Context(), h.key.ID); err != nil {
			t.Fatal(err)
		}
		if what == middleware.RevokeFinish {
			time.Sleep(30 * time.Millisecond)
			stage.send <- finishEvent + usageEvent + doneEvent
			close(stage.send)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if report := h.reports.nth(t, 1); report.Outcome != outcome {
			t.Errorf("%s: %q", report.Outcome, text)
		}
	}
}
