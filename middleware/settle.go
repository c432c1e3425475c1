package middleware

import (
	"context"
	"sync"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
)

// settleTimeout is the shortest time that a charge is given to become durable, and
// half of the longest.
const settleTimeout = 30 * time.Second

// deadlines provides contexts for settlements. Calls share them, because a timer for each
// call would cost more than the settlement itself.
type deadlines struct {
	mutex   sync.Mutex
	current context.Context
	cancel  context.CancelFunc // of current, which is left to end by itself
	made    time.Time
}

func (d *deadlines) next() context.Context {
	now := time.Now()
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.current == nil || now.Sub(d.made) > settleTimeout {
		d.current, d.cancel = context.WithTimeout(context.Background(), 2*settleTimeout)
		d.made = now
	}
	return d.current
}

// settle replaces reservation and hold by what was consumed, once.
func (x *exchange) settle(end *ending, wall time.Duration) {
	ctx := x.gate.settling.next()
	quantity := &end.settlement.Quantity
	x.settleLimits(ctx, limiter.Tokens{Input: quantity.InputTokens, Output: quantity.OutputTokens})
	if end.void {
		end.settleError = x.gate.ledger.Void(ctx, x.admission.hold, end.outcome)
	} else {
		end.charge, end.settleError = x.gate.ledger.Settle(ctx, x.admission.hold, end.settlement)
	}
	x.feedback.settle(end.charge)
	x.learn(end, wall)
	if end.settleError != nil {
		x.gate.logger.Error("call not settled", "request_id", x.request.id, "key", x.caller.key.ID, "error", end.settleError)
	}
}

// settleLimits replaces the reservation by the tokens that were consumed. One that cannot
// be replaced lapses by itself: what is charged is not withheld for it.
func (x *exchange) settleLimits(ctx context.Context, tokens limiter.Tokens) {
	if err := x.gate.limiter.Settle(ctx, x.admission.handle, tokens); err != nil {
		x.gate.logger.Error("limits not settled", "request_id", x.request.id, "key", x.caller.key.ID, "error", err)
	}
}

// learn remembers what the call consumed, for the holds of those to come. Calls that
// someone cut short say little about others.
func (x *exchange) learn(end *ending, wall time.Duration) {
	switch end.outcome {
	case ledger.OutcomeOK, ledger.OutcomeDeadline, ledger.OutcomeCreditExhausted:
	default:
		return
	}
	if end.void || x.request.fixed() || x.request.call.Route.Spec.NoInput {
		return
	}
	demand := x.gate.demand(&x.request)
	reported := end.outcome == ledger.OutcomeOK && end.settlement.Usage == ledger.UsageReported && x.request.custom == nil
	x.gate.forecast.Learn(&demand, &end.settlement.Quantity, wall, reported)
}

// warnEvery is how often a gate complains of the same thing at most: upstreams that
// misreport do so with every call.
const warnEvery = 10 * time.Second

// seldom says when something that happens often is to be logged. It is safe for
// concurrent use.
type seldom struct {
	mutex  sync.Mutex
	next   time.Time
	missed int64
}

// due says that it is time to log, and how often it was not since the last time.
func (s *seldom) due(now time.Time) (missed int64, due bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if now.Before(s.next) {
		s.missed++
		return 0, false
	}
	missed, s.missed, s.next = s.missed, 0, now.Add(warnEvery)
	return missed, true
}

// warn logs what of a call nobody pays: tokens that are not believed, and credit
// that could not be had.
func (x *exchange) warn(seen *evidence, end *ending) {
	if end.cut.Input > 0 || end.cut.Output > 0 {
		if missed, due := x.gate.cuts.due(x.gate.now()); due {
			x.gate.logger.Warn("an upstream that is not trusted reported more tokens than the call can have used: they are not charged",
				"request_id", x.request.id, "model", x.request.model.Name, "upstream", seen.facts.upstream.Address,
				"input_tokens", end.cut.Input, "output_tokens", end.cut.Output, "not_logged", missed)
		}
	}
	if end.charge.WriteOff > 0 {
		if missed, due := x.gate.writeOffs.due(x.gate.now()); due {
			x.gate.logger.Warn("a call cost more than there was credit for: the rest is written off",
				"request_id", x.request.id, "model", x.request.model.Name, "upstream", seen.facts.upstream.Address,
				"key", x.caller.key.ID, "account", x.caller.key.Owner,
				"charged", end.charge.Amount.String(), "written_off", end.charge.WriteOff.String(), "not_logged", missed)
		}
	}
}
