package middleware

import (
	"context"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/dialect"
)

const (
	// bytesPerToken relates the bytes of a prompt to its tokens for the estimate
	// that limits reserve. Settlement replaces it by the true figure.
	bytesPerToken = 4
	// templateTokens is what a chat template adds around the messages.
	templateTokens = 64
	// defaultStreamHold is the time that the hold of a stream covers at first; it
	// grows while the stream runs, so that a long time limit needs no large balance.
	defaultStreamHold = time.Minute
)

// admission is what a call was granted.
type admission struct {
	deadline time.Time
	cap      int64 // tokens of one answer
	reserved limiter.Tokens
	handle   limiter.Handle
	headroom headroom
	worst    ledger.Quantity // what the hold covers at first
	hold     ledger.HoldID

	rows [2]limits.Binding // memory for those of the key and of its use of the model
}

// headroom is what is left of a key's limits.
type headroom struct{ requests, tokens limiter.Headroom }

// admit asks for everything that the call needs: room in all limits, and credit. A refusal changes nothing.
func (a *admission) admit(ctx context.Context, g *Gate, from *caller, q *request) *dialect.Refusal {
	a.deadline = g.now().Add(g.holdTimeout)
	if refusal := a.reserve(ctx, g, from, q); refusal != nil {
		return refusal
	}
	hold, err := g.ledger.Hold(ctx, ledger.HoldRequest{
		KeyID: from.key.ID, Model: q.model.Name, Worst: a.worst, Deadline: a.deadline,
		Stream: q.call.Stream, RequestID: q.id,
	})
	if err == nil {
		a.hold = hold.ID
		return nil
	}
	if undo := g.limiter.Cancel(context.WithoutCancel(ctx), a.handle); undo != nil {
		g.logger.Error("reservation not taken back", "request_id", q.id, "error", undo)
	}
	refusal := refuseHold(err)
	if refusal.Reason == dialect.Overloaded {
		g.logger.Error("no hold", "request_id", q.id, "error", err)
	}
	*a = admission{}
	return refusal
}

// reserve asks the limiter. A cap that is the gate's own default must not lock a
// small key out forever: the limiter may lower it to the largest that fits.
func (a *admission) reserve(ctx context.Context, g *Gate, from *caller, q *request) *dialect.Refusal {
	var asked limiter.Tokens
	asked, a.worst = g.estimate(q)
	step := int64(0)
	if q.cap.byDefault && g.injectCap {
		step = q.call.Answers
	}
	decision, err := g.limiter.Reserve(ctx, limiter.Request{
		Key: from.key.ID, Model: q.model.Name, Tokens: asked, OutputStep: step,
		Rows: from.key.LimitsFor(a.rows[:0], q.model.Name), Timeout: g.holdTimeout,
	})
	if err != nil {
		g.logger.Error("limits not checked", "request_id", q.id, "error", err)
		return refuseUnavailable()
	}
	a.headroom = headroom{decision.Requests, decision.Tokens}
	if !decision.Admitted {
		return refuseLimit(decision.Refusal)
	}
	a.handle, a.reserved, a.cap = decision.Handle, decision.Reserved, q.cap.tokens
	if step > 0 {
		a.cap, a.worst.OutputTokens = a.reserved.Output/step, a.reserved.Output
	}
	return nil
}

// estimate returns what a call reserves of its limits and the upper limit of what
// it may consume. Byte-level tokenizers never make more tokens than bytes.
func (g *Gate) estimate(q *request) (limiter.Tokens, ledger.Quantity) {
	if q.custom != nil {
		worst := q.custom.worst
		worst.Duration = g.holdTimeout
		return limiter.Tokens{Input: worst.InputTokens, Output: worst.OutputTokens}, worst
	}
	output := q.cap.tokens * q.call.Answers
	worst := ledger.Quantity{
		InputTokens:  q.call.TextBytes + q.call.MediaTokens + templateTokens,
		OutputTokens: output,
		Duration:     g.holdTimeout,
	}
	if q.call.Stream {
		worst.Duration = min(worst.Duration, g.streamHold)
	}
	reserve := limiter.Tokens{Input: worst.InputTokens, Output: output}
	if !g.strict {
		reserve.Input = (q.call.TextBytes+bytesPerToken-1)/bytesPerToken + q.call.MediaTokens
	}
	return reserve, worst
}
