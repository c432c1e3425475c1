package middleware

import (
	"context"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/dialect"
	"github.com/penstockhq/penstock/middleware/forecast"
)

// bytesPerToken relates the bytes of a text to its tokens where nobody counted them.
const bytesPerToken = forecast.BytesPerToken

// textTokens returns the tokens of a text of that many bytes where nobody counted them.
func textTokens(size int64) int64 { return (size + bytesPerToken - 1) / bytesPerToken }

// admission is what a call was granted.
type admission struct {
	deadline time.Time
	cap      int64 // tokens of one answer
	reserved limiter.Tokens
	handle   limiter.Handle
	headroom headroom
	likely   ledger.Quantity // what the hold covers at first
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
		KeyID: from.key.ID, Model: q.model.Name, Worst: a.likely, Deadline: a.deadline,
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

// reserve reserves what the call may take of the limits. A cap that is the gate's own
// default must not lock a small key out forever: the limiter may lower it to the largest
// that fits.
func (a *admission) reserve(ctx context.Context, g *Gate, from *caller, q *request) *dialect.Refusal {
	demand := g.demand(q)
	asked := g.reservation(q, &demand)
	step := int64(0)
	if q.cap.byDefault && g.injectCap {
		step = q.call.Answers
	}
	if refusal := a.ask(ctx, g, from, q, asked, step); refusal != nil {
		return refusal
	}
	a.cap = q.cap.tokens
	if step > 0 {
		a.cap = a.reserved.Output / step
	}
	demand.OutputCap = a.cap
	a.likely = g.likely(q, &demand)
	return nil
}

// ask asks the limiter for room for a request and its tokens. With an output step it may
// grant less output.
func (a *admission) ask(ctx context.Context, g *Gate, from *caller, q *request, tokens limiter.Tokens, step int64) *dialect.Refusal {
	decision, err := g.limiter.Reserve(ctx, limiter.Request{
		Key: from.key.ID, Owner: from.key.Owner, Model: q.model.Name, Tokens: tokens, OutputStep: step,
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
	a.handle, a.reserved = decision.Handle, decision.Reserved
	return nil
}

// demand describes a call to the forecast.
func (g *Gate) demand(q *request) forecast.Demand {
	tokens := q.call.Media.Tokens(q.model.Media)
	return forecast.Demand{
		Model: q.model.Name, Bytes: q.call.TextBytes, MediaTokens: tokens.Likely, MaxMediaTokens: tokens.Most,
		Answers: q.call.Answers, OutputCap: q.cap.tokens, CapByDefault: q.cap.byDefault,
		TimeLimit: g.holdTimeout, Strict: g.strict,
	}
}

// reservation returns what a call reserves of its limits.
func (g *Gate) reservation(q *request, demand *forecast.Demand) limiter.Tokens {
	if q.custom != nil {
		return limiter.Tokens{Input: q.custom.worst.InputTokens, Output: q.custom.worst.OutputTokens}
	}
	return limiter.Tokens{Input: demand.Estimate(), Output: demand.Most().OutputTokens}
}

// likely returns what the hold of a call covers at first. It grows while the call
// runs, so that a long time limit or a large output cap needs no large balance.
func (g *Gate) likely(q *request, demand *forecast.Demand) ledger.Quantity {
	likely := g.forecast.Likely(demand)
	switch {
	case q.fixed():
		return ledger.Quantity{Duration: g.holdTimeout}
	case q.custom != nil:
		likely.InputTokens, likely.OutputTokens = q.custom.worst.InputTokens, q.custom.worst.OutputTokens
	}
	return likely
}

// most returns the upper limit of what a call may consume: no upstream is believed
// that claims more, unless it is trusted.
func (a *admission) most(g *Gate, q *request) ledger.Quantity {
	if q.custom != nil {
		most := q.custom.worst
		most.Duration = g.holdTimeout
		return most
	}
	demand := g.demand(q)
	demand.OutputCap = a.cap
	return demand.Most()
}
