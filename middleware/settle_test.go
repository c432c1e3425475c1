package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
)

func TestAnErrorWithTheStatusOfSuccessIsNotCharged(t *testing.T) {
	reply := `{"error":{"message":"out of memory","type":"server_error"}}`
	h := build(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, reply) }, ledger.NewKey{})
	got := h.post("/v1/chat/completions", plainBody)
	if got.status != 502 || !strings.Contains(got.body, `"message":"the upstream failed"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	h.ended(1, ledger.OutcomeUpstreamFailed, ledger.UsageReported, 0, 0, false)
	reply = `{"error":null,` + chatReply[1:]
	if got := h.post("/v1/chat/completions", plainBody); got.status != 200 || got.body != reply {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAnEarlyFigureIsNotCharged(t *testing.T) {
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n")
		for range 40 {
			io.WriteString(w, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"word\"}}\n\n")
		}
		io.WriteString(w, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
	}, ledger.NewKey{})
	h.post("/v1/messages", streamBody)
	h.ended(1, ledger.OutcomeOK, ledger.UsageCounted, 9, 40, true)
}

func TestAPromptThatIsEchoedNeedsNoMoreCredit(t *testing.T) {
	prompt := strings.Repeat("word", 1000)
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: {\"choices\":[{\"text\":%q}]}\n\ndata: {\"choices\":[{\"text\":\"four\",\"finish_reason\":\"stop\"}]}\n\n", prompt)
		io.WriteString(w, `data: {"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":1}}`+"\n\n"+doneEvent)
	}, ledger.NewKey{})
	if err := h.ledger.SetPrice(t.Context(), "tiny", ledger.Price{Output: 100_000 * ledger.Credit}); err != nil { // 0.1 for a token of 10
		t.Fatal(err)
	}
	got := h.post("/v1/completions", `{"model":"tiny","stream":true,"echo":true,"max_tokens":16,"prompt":"`+prompt+`"}`)
	if !strings.HasSuffix(got.body, doneEvent) {
		t.Errorf("%.100s ... %s", got.body, got.body[max(0, len(got.body)-300):])
	}
	h.ended(1, ledger.OutcomeOK, ledger.UsageReported, 1000, 1, true)
}

// forgetfulLimiter loses its store while calls run.
type forgetfulLimiter struct{ *limiter.Memory }

func (l forgetfulLimiter) Settle(ctx context.Context, handle limiter.Handle, actual limiter.Tokens) error {
	return errors.Join(errors.New("the store is away"), l.Memory.Settle(ctx, handle, actual))
}

func TestAnAnswerThatIsChargedIsNotWithheldForTheLimiter(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	old := h.gateway.Config.Handler
	h.gateway.Config.Handler = middleware.New(h.ledger, forgetfulLimiter{h.limiter})(http.HandlerFunc(chat))
	defer func() { h.gateway.Config.Handler = old }()
	if got := h.post("/v1/chat/completions", plainBody); got.status != 200 || got.body != chatReply {
		t.Errorf("%d %s", got.status, got.body)
	}
	if h.account().Spent == 0 {
		t.Error("nothing was charged")
	}
}

func TestWhoeverSeesTheEndFindsTheCharge(t *testing.T) {
	stage := newStage()
	h := build(t, stage.serve, ledger.NewKey{})
	stage.send <- wordEvent + finishEvent + usageEvent + doneEvent
	response, err := h.open(t.Context(), streamBody)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	buffer := make([]byte, len(wordEvent+finishEvent))
	if _, err := io.ReadFull(response.Body, buffer); err != nil {
		t.Fatal(err)
	}
	if len(h.entries()) != 0 {
		t.Error("charged before the upstream has ended")
	}
	close(stage.send)
	if _, err := io.ReadFull(response.Body, make([]byte, len(doneEvent))); err != nil {
		t.Fatal(err)
	}
	if len(h.entries()) != 1 {
		t.Error("the end came before the charge")
	}
}

// brokenLedger is a ledger whose disk fails at settlement.
type brokenLedger struct {
	middleware.Ledger
	broken atomic.Bool
}

func (l *brokenLedger) Settle(ctx context.Context, id ledger.HoldID, settlement ledger.Settlement) (ledger.Charge, error) {
	if l.broken.Load() {
		l.Ledger.Void(ctx, id, ledger.OutcomeInterrupted)
		return ledger.Charge{}, ledger.ErrUnavailable
	}
	return l.Ledger.Settle(ctx, id, settlement)
}

func TestAnAnswerWhoseChargeIsNotDurableIsNotShownAsComplete(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	broken := &brokenLedger{Ledger: h.ledger}
	broken.broken.Store(true)
	old := h.gateway.Config.Handler
	h.gateway.Config.Handler = middleware.New(broken, h.limiter)(http.HandlerFunc(chat))
	defer func() { h.gateway.Config.Handler = old }()
	got := h.post("/v1/chat/completions", plainBody)
	if got.status != 503 || got.header.Get("X-Should-Retry") != "false" || strings.Contains(got.body, "four") {
		t.Errorf("%d %s", got.status, got.body)
	}
	got = h.post("/v1/chat/completions", streamBody)
	list := events(got.body)
	if len(list) == 0 || !strings.HasPrefix(list[len(list)-1], "error ") || strings.Contains(got.body, "[DONE]") {
		t.Errorf("%q", list)
	}
}

func TestReservationsAreReplacedByWhatWasUsed(t *testing.T) {
	h := build(t, chat, ledger.NewKey{Limits: []limits.Row{{TPM: 1000, MaxInFlight: 1}}})
	for range 5 {
		if got := h.post("/v1/chat/completions", `{"model":"tiny","max_tokens":900,"messages":[]}`); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	rows := []limits.Binding{{Row: limits.Row{TPM: 1000, MaxInFlight: 1}}}
	decision, err := h.limiter.Reserve(t.Context(), limiter.Request{Key: h.key.ID, Tokens: limiter.Tokens{Input: 940}, Rows: rows})
	if err != nil || !decision.Admitted {
		t.Errorf("five calls of 12 tokens leave no room for 940: %+v, %v", decision.Refusal, err)
	}
}
