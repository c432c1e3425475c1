package middleware_test

import (
	"io"
	"net/http"
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

// taught is a house whose gate has seen a call to the model tiny that took no time
// and 3 tokens of output, so that it holds little.
func taught(t *testing.T, upstream http.HandlerFunc, options ...middleware.Option) *house {
	t.Helper()
	warm := true
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		if warm {
			warm = false
			chat(w, r)
			return
		}
		upstream(w, r)
	}, ledger.NewKey{}, options...)
	if got := h.post("/v1/chat/completions", freeBody); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	return h
}

// freeBody is a call without a cap on its output.
const freeBody = `{"model":"tiny","messages":[{"role":"user","content":"hi"}]}`

func TestCreditRunsOutMidStream(t *testing.T) {
	stage := newStage()
	h := taught(t, stage.serve)
	if err := h.ledger.SetPrice(t.Context(), "tiny", ledger.Price{Output: 100_000 * ledger.Credit}); err != nil {
		t.Fatal(err) // 0.1 credits a token
	}
	_, h.text = h.newKey(ledger.NewKey{Owner: "poor"}, 10*ledger.Credit)
	for range 50 {
		stage.send <- strings.Repeat(wordEvent, 4)
	}
	got := h.post("/v1/chat/completions", `{"stream":true,`+freeBody[1:])
	list := events(got.body)
	if len(list) == 0 || !strings.HasPrefix(list[len(list)-1], `error {"type":"error","error":{"type":"billing_error","code":"insufficient_quota"`) {
		t.Fatalf("%d events, the last is %q", len(list), list[len(list)-1])
	}
	within(t, "cancelling the upstream", stage.cancelled)
	report := h.reports.nth(t, 2)
	account, _ := h.ledger.Account("poor")
	if report.Outcome != ledger.OutcomeCreditExhausted || account.Available >= ledger.Credit/10 || report.Charge.WriteOff != 0 || account.Held != 0 {
		t.Errorf("%s, charge %+v, %+v", report.Outcome, report.Charge, account)
	}
}

func TestACallWhoseHoldCannotGrowIsCutWhenItsTimeIsUsedUp(t *testing.T) {
	for _, stream := range []bool{true, false} {
		stage := newStage()
		h := taught(t, stage.serve)
		_, h.text = h.newKey(ledger.NewKey{Owner: "poor"}, 5000) // 300 ms of compute
		body := plainBody
		if stream {
			body = streamBody
			stage.send <- wordEvent
		}
		started := time.Now()
		got := h.post("/v1/chat/completions", body)
		if !strings.Contains(got.body, `"code":"insufficient_quota"`) || !stream && got.status != 402 || stream && len(events(got.body)) != 2 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		within(t, "cancelling the upstream", stage.cancelled)
		report := h.reports.nth(t, 2)
		account, _ := h.ledger.Account("poor")
		if report.Outcome != ledger.OutcomeCreditExhausted || account.Held != 0 || report.Charge.WriteOff != 0 {
			t.Errorf("%s, %+v", report.Outcome, account)
		}
		if ran := time.Since(started); ran < 285*time.Millisecond || account.Available > 250 { // 15 ms
			t.Errorf("cut after %s, %d left", ran, account.Available)
		}
	}
}

func TestAStreamOfAnUntrustedUpstreamEndsAtItsCap(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		stage := newStage()
		h := build(t, chat, ledger.NewKey{})
		h.wrap(func(w http.ResponseWriter, r *http.Request) {
			middleware.NoteUpstream(r.Context(), middleware.Upstream{Trusted: trusted})
			stage.serve(w, r)
		})
		if err := h.ledger.SetPrice(t.Context(), "tiny", ledger.Price{Output: 1000 * ledger.Credit}); err != nil {
			t.Fatal(err) // 0.001 credits a token
		}
		go func() {
			for range 3000 {
				select {
				case stage.send <- wordEvent:
				case <-stage.cancelled:
					return
				}
			}
			stage.send <- finishEvent + `data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3000}}` + "\n\n" + doneEvent
			close(stage.send)
		}()
		got := h.post("/v1/chat/completions", strings.Replace(streamBody, "50", "5", 1))
		list := events(got.body)
		last := list[len(list)-1]
		if trusted {
			h.ended(1, ledger.OutcomeOK, ledger.UsageReported, 9, 3000, true)
			if last != "[DONE]" || h.account().Spent != 3*ledger.Credit {
				t.Errorf("%q, spent %s", last, h.account().Spent)
			}
			continue
		}
		if !strings.HasPrefix(last, `error {"type":"error","error":{"type":"api_error","code":"output_cap_exceeded"`) || len(list) > 200 {
			t.Errorf("%d events, the last is %q", len(list), last)
		}
		h.ended(1, ledger.OutcomeUpstreamFailed, ledger.UsageCounted, int64(len(streamBody)+2)/4, 5, true)
		if spent := h.account().Spent; spent != 5000 {
			t.Errorf("spent %s", spent)
		}
	}
}

// The last event has no blank line after it, so that it is read when the handler has
// returned.
func TestTheLastEventOfAStreamCanPassItsCapToo(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, wordEvent+strings.TrimSuffix(strings.Replace(wordEvent, "word", strings.Repeat("word ", 100), 1), "\n\n"))
	})
	got := h.post("/v1/chat/completions", strings.Replace(streamBody, "50", "5", 1))
	list := events(got.body)
	if last := list[len(list)-1]; !strings.Contains(last, `"code":"output_cap_exceeded"`) {
		t.Errorf("the last event is %q", last)
	}
	h.ended(1, ledger.OutcomeUpstreamFailed, ledger.UsageCounted, int64(len(streamBody)+2)/4, 5, true)
}

func TestAStreamGoesOnWhenItsHoldGrows(t *testing.T) {
	stage := newStage()
	h := taught(t, stage.serve)
	before := h.account().Spent
	go func() {
		for range 10 {
			stage.send <- wordEvent
			time.Sleep(40 * time.Millisecond)
		}
		stage.send <- finishEvent + usageEvent + doneEvent
		close(stage.send)
	}()
	got := h.post("/v1/chat/completions", streamBody)
	if list := events(got.body); len(list) != 12 || list[11] != "[DONE]" {
		t.Errorf("%q", list)
	}
	report := h.reports.nth(t, 2)
	if report.Outcome != ledger.OutcomeOK || report.Compute < 350*time.Millisecond || h.account().Spent-before != report.Charge.Amount {
		t.Errorf("%s, %s are charged", report.Outcome, report.Compute)
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
