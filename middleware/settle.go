package middleware

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// settleTimeout is the least time that a charge is given to become durable, and
// half of the most.
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

// ending is how the handler came back.
type ending struct {
	returned   bool  // and not by a panic
	cause      error // why the call's context ended, nil if it did not
	clientGone bool  // the client's own context ended
}

// produced counts what a stream has produced so far. A stream that produces more
// than its hold covers goes on only as long as the hold can grow.
func (x *exchange) produced(output int64) error {
	x.mutex.Lock()
	defer x.mutex.Unlock()
	x.soFar = ledger.Quantity{InputTokens: x.reserved.Input, OutputTokens: min(output, x.worst.OutputTokens)}
	slack := int64(outputSlack)
	if x.call.Route.Operation == dialect.Completions { // which can repeat the prompt in each answer
		slack += x.call.TextBytes / bytesPerToken * x.call.Answers
	}
	if output <= x.worst.OutputTokens+slack || x.custom != nil {
		return nil
	}
	worst := x.worst
	worst.OutputTokens = output + output/2
	if x.extend(worst) != nil {
		x.failure = errCredit
		return errCredit
	}
	return nil
}

// outputSlack is how far the count may exceed the cap before a hold is extended:
// what is counted from a stream is not exact.
const outputSlack = 64

// outcome says how the call ended.
func (x *exchange) outcome(r *reply, end ending) ledger.Outcome {
	complete := end.returned && r.wrote && r.failed() == nil && x.failure == nil && !r.truncated()
	switch {
	case errors.Is(x.failure, errCredit) || errors.Is(end.cause, errCredit):
		return ledger.OutcomeCreditExhausted
	case errors.Is(end.cause, errRevoked):
		return ledger.OutcomeRevoked
	case errors.Is(end.cause, errDeadline) && !complete:
		return ledger.OutcomeDeadline
	case end.clientGone || r.writeError != nil:
		return ledger.OutcomeClientGone
	case !end.returned || x.failure != nil || r.readError != nil || r.status >= 500 || r.redirects():
		return ledger.OutcomeUpstreamFailed
	case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
		return ledger.OutcomeUpstreamFailed // the gateway's own credentials, not the caller's fault
	case r.status >= 400:
		return ledger.OutcomeUpstreamRefused
	case r.meter.Failed() || r.truncated():
		return ledger.OutcomeUpstreamFailed
	}
	return ledger.OutcomeOK
}

// redirects says that the upstream sends the client elsewhere, where no gate
// would be, instead of an answer.
func (r *reply) redirects() bool {
	return r.status >= 300 && r.status < 400 && r.x.custom == nil
}

// truncated says that the handler came back as if all were well, but the answer
// has no end.
func (r *reply) truncated() bool {
	if r.mode == modeStream {
		return r.x.custom == nil && !r.meter.Complete()
	}
	return r.declared >= 0 && r.size < r.declared && !r.bodiless
}

// free says that a call with this outcome is not charged: the client got nothing
// of the answer, and not by its own doing.
func free(outcome ledger.Outcome, r *reply) bool {
	switch outcome {
	case ledger.OutcomeUpstreamRefused:
		return true
	case ledger.OutcomeUpstreamFailed, ledger.OutcomeDeadline:
		return !r.meter.Produced() && !(r.sent && r.mode == modeBody) && r.x.reported == nil
	}
	return false
}

// finish settles the call and gives the client the rest.
func (x *exchange) finish(r *reply, end ending) {
	now := x.gate.now()
	x.mutex.Lock()
	failure := x.failure
	x.mutex.Unlock()
	if end.returned && !r.wrote && failure == nil && end.cause == nil {
		x.answerNothing(r)
	}
	r.drain(end.returned)
	outcome := x.outcome(r, end)
	settlement := x.settlement(r, outcome, now.Sub(x.dispatched))
	err := x.settle(r, settlement)
	if err != nil {
		x.gate.logger.Error("call not settled", "request_id", x.requestID, "key", x.caller.key.ID, "error", err)
	}
	x.deliver(r, outcome, settlement, err)
	x.observe(r, outcome, settlement)
	if r.sent && r.mode == modeBody && outcome != ledger.OutcomeOK && end.returned && outcome != ledger.OutcomeClientGone {
		panic(http.ErrAbortHandler) // a cut body must not look complete
	}
}

// answerNothing ends a call whose handler has written nothing. On a path with a
// fixed cost that is an empty answer, as net/http has it; no model answers so, and
// nobody pays for a gate that has no handler behind it.
func (x *exchange) answerNothing(r *reply) {
	if x.custom != nil {
		r.WriteHeader(http.StatusOK)
		return
	}
	x.mutex.Lock()
	x.failure, x.failureStatus = errNoAnswer, http.StatusBadGateway
	x.mutex.Unlock()
}

// observe tells the observer how the call ended.
func (x *exchange) observe(r *reply, outcome ledger.Outcome, settlement ledger.Settlement) {
	if x.gate.observer == nil {
		return
	}
	report := x.report()
	report.Upstream, report.Outcome, report.Status = x.upstream, outcome, r.clientStatus
	report.UsageSource, report.Charge = settlement.Usage, x.charge
	report.InputTokens, report.OutputTokens = settlement.Quantity.InputTokens, settlement.Quantity.OutputTokens
	report.CachedTokens, report.Compute = settlement.Quantity.CachedTokens, settlement.Quantity.Duration
	if !x.firstByte.IsZero() {
		report.FirstByte = x.firstByte.Sub(x.dispatched)
	}
	x.gate.observer.Observe(report)
}

// drain takes what is left in the unpacker, in the event reader and in trailers,
// and reads what is to be translated or is no answer at all.
func (r *reply) drain(returned bool) {
	if r.unpack != nil {
		if err := r.unpack.close(); err != nil && r.readError == nil {
			r.readError = err
		}
	}
	if r.mode == modeStream && r.wrote && returned { // a cut event is no event
		if err := r.meter.Flush(r); err != nil && r.writeError == nil && r.readError == nil {
			r.readError = err
		}
	}
	if r.mode == modeTranslated && r.wrote && r.readError == nil {
		var ok bool
		if r.text, ok = dialect.ChatText(r.kept); !ok {
			r.readError = errNoChat
		}
	}
	if r.mode == modeWhole && r.wrote && r.x.custom == nil && r.readError == nil && dialect.SaysError(r.kept) {
		if _, reported := r.meter.Reported(); !reported {
			r.readError = errOnlyError
		}
	}
	header := r.w.Header()
	for name := range header { // trailers that were not announced
		if trailer, ok := strings.CutPrefix(name, http.TrailerPrefix); ok && own(trailer) {
			delete(header, name)
		}
	}
	for _, name := range []string{headerInference, http.TrailerPrefix + headerInference} {
		if values, ok := header[name]; ok {
			delete(header, name)
			if took, ok := takeInference(http.Header{headerInference: values}); ok {
				r.inference, r.hasInference = took, true
			}
		}
	}
}

// settlement says what the call consumed.
func (x *exchange) settlement(r *reply, outcome ledger.Outcome, wall time.Duration) ledger.Settlement {
	settlement := ledger.Settlement{Outcome: outcome, Usage: ledger.UsageEstimated}
	x.mutex.Lock()
	defer x.mutex.Unlock()
	if free(outcome, r) {
		settlement.Usage = ledger.UsageReported
		return settlement
	}
	quantity := &settlement.Quantity
	switch reported, ok := r.meter.Reported(); {
	case x.reported != nil:
		settlement.Usage = ledger.UsageReported
		quantity.InputTokens, quantity.OutputTokens = max(x.reported.InputTokens, 0), max(x.reported.OutputTokens, 0)
		quantity.CachedTokens = min(max(x.reported.CachedTokens, 0), quantity.InputTokens)
	case ok && (outcome == ledger.OutcomeOK || reported.Output > 0):
		settlement.Usage = ledger.UsageReported
		quantity.InputTokens, quantity.CachedTokens, quantity.OutputTokens = reported.Input, reported.Cached, reported.Output
		if counted := r.meter.Counted(); r.meter.Early() && counted > reported.Output {
			settlement.Usage, quantity.OutputTokens = ledger.UsageCounted, counted
		}
	case outcome != ledger.OutcomeOK || r.mode == modeStream:
		settlement.Usage = ledger.UsageCounted
		quantity.InputTokens, quantity.OutputTokens = x.reserved.Input, r.meter.Counted()
		if ok {
			quantity.InputTokens, quantity.CachedTokens = reported.Input, reported.Cached
		}
	default:
		quantity.InputTokens, quantity.OutputTokens = x.reserved.Input, x.reserved.Output
	}
	if x.fixed() {
		settlement.Usage = ledger.UsageReported
	}
	quantity.Duration = x.compute(r, wall)
	clamp(quantity, x.worst)
	return settlement
}

func (x *exchange) fixed() bool { return x.custom != nil && x.custom.fixed > 0 }

// compute returns the time that is charged: what the handler or a trusted
// upstream says, but never more than the gate saw. The caller holds x.mutex.
func (x *exchange) compute(r *reply, wall time.Duration) time.Duration {
	switch {
	case x.reported != nil && x.reported.Duration > 0:
		return min(x.reported.Duration, wall)
	case x.upstream.Trusted && r.hasInference:
		return min(r.inference, wall)
	}
	return wall
}

// clamp keeps an upstream's figures within what was held: whatever it claims,
// the caller is never charged beyond that.
func clamp(quantity *ledger.Quantity, worst ledger.Quantity) {
	quantity.InputTokens = min(quantity.InputTokens, worst.InputTokens)
	quantity.CachedTokens = min(quantity.CachedTokens, quantity.InputTokens)
	quantity.OutputTokens = min(quantity.OutputTokens, worst.OutputTokens)
	quantity.Duration = max(min(quantity.Duration, worst.Duration), 0)
}

// settle replaces reservation and hold by what was consumed, once.
func (x *exchange) settle(r *reply, settlement ledger.Settlement) error {
	ctx := x.gate.settling.next()
	quantity := settlement.Quantity
	if err := x.gate.limiter.Settle(ctx, x.decision.Handle, limiter.Tokens{Input: quantity.InputTokens, Output: quantity.OutputTokens}); err != nil {
		// The reservation lapses by itself. What is charged is not withheld for it.
		x.gate.logger.Error("limits not settled", "request_id", x.requestID, "key", x.caller.key.ID, "error", err)
	}
	var charge ledger.Charge
	var err error
	if free(settlement.Outcome, r) || x.fixed() && settlement.Outcome != ledger.OutcomeOK {
		err = x.gate.ledger.Void(ctx, x.hold.ID, settlement.Outcome)
	} else {
		charge, err = x.gate.ledger.Settle(ctx, x.hold.ID, settlement)
	}
	x.mutex.Lock()
	x.settled, x.charge = true, charge
	x.mutex.Unlock()
	return err
}
