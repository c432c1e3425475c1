package middleware

import (
	"context"
	"sync"
	"time"

	"github.com/penstockhq/penstock/limiter"
)

// settleTimeout is the shortest time that a charge is given to become durable, and
// half of the longest.
const settleTimeout = 30 * time.Second

// deadlines gives out contexts for settlements. Calls share them: a timer for each
// call would cost more than the whole settlement.
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
func (x *exchange) settle(end *ending) {
	ctx := x.gate.settling.next()
	quantity := &end.settlement.Quantity
	tokens := limiter.Tokens{Input: quantity.InputTokens, Output: quantity.OutputTokens}
	if err := x.gate.limiter.Settle(ctx, x.admission.handle, tokens); err != nil {
		// The reservation lapses by itself. What is charged is not withheld for it.
		x.gate.logger.Error("limits not settled", "request_id", x.request.id, "key", x.caller.key.ID, "error", err)
	}
	if end.void {
		end.settleError = x.gate.ledger.Void(ctx, x.admission.hold, end.outcome)
	} else {
		end.charge, end.settleError = x.gate.ledger.Settle(ctx, x.admission.hold, end.settlement)
	}
	x.feedback.settle(end.charge)
	if end.settleError != nil {
		x.gate.logger.Error("call not settled", "request_id", x.request.id, "key", x.caller.key.ID, "error", end.settleError)
	}
}
