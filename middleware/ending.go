package middleware

import (
	"errors"
	"net/http"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// evidence is all that decides how a call ended and what it is charged.
type evidence struct {
	returned   bool  // the handler came back, and not by a panic
	cause      error // why the call's context ended, nil if it did not
	clientGone bool  // the client's own context ended
	wall       time.Duration
	reserved   limiter.Tokens
	most       ledger.Quantity // what the call may consume by what it asked for
	custom     bool            // most is what the operator said of the path
	noOutput   bool            // the operation generates nothing
	images     bool            // the answer are images, which have no pieces to count
	unit       Unit            // in which the call is counted
	fixed      bool            // the path has a fixed cost

	reply reading // what the reply showed
	facts facts   // what handlers, policies and the watch reported
}

// reading is what a reply showed by its end.
type reading struct {
	wrote      bool // the handler sent a header
	status     int
	retryAfter time.Duration // when the upstream wants to be asked again, 0: unknown
	stream     bool
	passing    bool // parts of a body have left
	truncated  bool // the body or stream has no end
	redirects  bool
	readError  error // the reply makes no sense
	writeError error // the client cannot be reached

	errorEvent   bool // the upstream sent an error event
	produced     bool // a piece of the answer has passed
	usage        dialect.Usage
	hasUsage     bool  // the upstream reported usage
	early        bool  // only at the beginning of the stream
	counted      int64 // output tokens
	measured     bool  // the gate counts the whole answer
	heard        int64 // input tokens of the sound that the upstream has heard, as it says
	inference    time.Duration
	hasInference bool // the upstream said how long it computed
}

// ending is how a call ended and what follows from it.
type ending struct {
	outcome    ledger.Outcome
	settlement ledger.Settlement
	cut        limiter.Tokens // that the upstream reported and is not believed
	free       bool           // the client got nothing of the answer, and not by its own doing
	void       bool           // the hold ends without a charge

	charge      ledger.Charge // what settling made of it
	settleError error
}

// decide returns how a call ended and what it is charged.
func decide(seen *evidence) ending {
	end := ending{outcome: seen.outcome()}
	end.free = seen.free(end.outcome)
	end.void = end.free || seen.fixed && end.outcome != ledger.OutcomeOK
	end.settlement, end.cut = seen.settlement(end.outcome, end.free)
	return end
}

// outcome says how the call ended.
func (e *evidence) outcome() ledger.Outcome {
	r, failure := &e.reply, e.facts.failure
	complete := e.returned && r.wrote && r.writeError == nil && r.readError == nil && failure == nil && !r.truncated
	switch {
	case errors.Is(failure, errCredit) || errors.Is(e.cause, errCredit) && !complete:
		return ledger.OutcomeCreditExhausted
	case errors.Is(e.cause, errRevoked):
		return ledger.OutcomeRevoked
	case errors.Is(e.cause, errDeadline) && !complete:
		return ledger.OutcomeDeadline
	case e.clientGone || r.writeError != nil:
		return ledger.OutcomeClientGone
	case !e.returned || failure != nil || r.readError != nil || r.status >= 500 || r.redirects:
		return ledger.OutcomeUpstreamFailed
	case refusesGateway(r.status):
		return ledger.OutcomeUpstreamFailed
	case r.status >= 400:
		return ledger.OutcomeUpstreamRefused
	case r.errorEvent || r.truncated:
		return ledger.OutcomeUpstreamFailed
	}
	return ledger.OutcomeOK
}

// refusesGateway says that by this status an upstream means the gateway, its credentials
// or its account, and not the caller: their own have been checked.
func refusesGateway(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusProxyAuthRequired:
		return true
	}
	return false
}

// free reports whether a call with this outcome is not charged: the client received
// nothing of the answer, and did not cause that itself.
func (e *evidence) free(outcome ledger.Outcome) bool {
	switch outcome {
	case ledger.OutcomeUpstreamRefused:
		return true
	case ledger.OutcomeUpstreamFailed, ledger.OutcomeDeadline:
		return !e.reply.produced && !e.reply.passing && e.facts.usage == nil
	}
	return false
}

// settlement says what the call consumed, and which tokens of the upstream's
// report are not part of it.
func (e *evidence) settlement(outcome ledger.Outcome, free bool) (ledger.Settlement, limiter.Tokens) {
	settlement := ledger.Settlement{Outcome: outcome, Usage: ledger.UsageReported}
	if free {
		return settlement, limiter.Tokens{}
	}
	settlement.Quantity, settlement.Usage = e.tokens(outcome)
	if e.fixed {
		settlement.Usage = ledger.UsageReported
	}
	settlement.Quantity.Duration = e.compute()
	cut := e.believe(&settlement)
	if outcome == ledger.OutcomeCreditExhausted {
		settlement.Quantity.OutputTokens = min(settlement.Quantity.OutputTokens, e.facts.covered.OutputTokens)
		settlement.Quantity.Duration = min(settlement.Quantity.Duration, e.facts.covered.Duration)
	}
	return settlement, cut
}

// trusted says that reported usage is believed whatever the call asked for: that of
// an upstream that the operator trusts, or of a handler of the operator's own.
func (e *evidence) trusted() bool {
	return !e.custom && (e.facts.upstream.Trusted || e.facts.usage != nil)
}

// believe cuts a settlement to what the call may have consumed by what it asked for.
// Only a trusted report may exceed that. It returns what it cut of a report.
func (e *evidence) believe(s *ledger.Settlement) (cut limiter.Tokens) {
	quantity, most := &s.Quantity, &e.most
	quantity.Duration = max(min(quantity.Duration, most.Duration), 0)
	reported := s.Usage == ledger.UsageReported && !e.fixed
	if reported && e.trusted() {
		return cut
	}
	if reported {
		cut.Input = max(quantity.InputTokens-most.InputTokens, 0)
		cut.Output = max(quantity.OutputTokens-most.OutputTokens, 0)
	}
	quantity.InputTokens = min(quantity.InputTokens, most.InputTokens)
	quantity.CachedTokens = min(quantity.CachedTokens, quantity.InputTokens)
	quantity.OutputTokens = min(quantity.OutputTokens, most.OutputTokens)
	return cut
}

// tokens returns the tokens that the call consumed, from the best source there is.
func (e *evidence) tokens(outcome ledger.Outcome) (ledger.Quantity, ledger.UsageSource) {
	r := &e.reply
	switch {
	case e.facts.usage != nil:
		input := max(e.facts.usage.InputTokens, 0)
		return ledger.Quantity{
			InputTokens: input, CachedTokens: min(max(e.facts.usage.CachedTokens, 0), input),
			OutputTokens: max(e.facts.usage.OutputTokens, 0),
		}, ledger.UsageReported
	case e.unit != UnitToken:
		return e.units(outcome)
	case r.hasUsage && r.usage.Input == 0 && r.usage.Output == 0 && e.noOutput:
		return ledger.Quantity{InputTokens: e.reserved.Input}, ledger.UsageEstimated // no call has no input
	case r.heard > 0 && r.usage.Input == 0 && r.usage.Output == 0:
		return ledger.Quantity{InputTokens: r.heard, OutputTokens: r.counted}, ledger.UsageReported
	case r.hasUsage && r.usage.Input == 0 && r.usage.Output == 0 && r.counted > 0:
		// An upstream that does not count says so with zeros.
		return ledger.Quantity{InputTokens: e.reserved.Input, OutputTokens: r.counted}, ledger.UsageCounted
	case r.hasUsage && (outcome == ledger.OutcomeOK || r.usage.Output > 0):
		quantity := ledger.Quantity{
			InputTokens: r.usage.Input, CachedTokens: r.usage.Cached, OutputTokens: r.usage.Output,
		}
		if r.early && r.counted > r.usage.Output {
			quantity.OutputTokens = r.counted
			return quantity, ledger.UsageCounted
		}
		return quantity, ledger.UsageReported
	case outcome != ledger.OutcomeOK || r.stream && !e.images || r.measured:
		quantity := ledger.Quantity{InputTokens: e.reserved.Input, OutputTokens: r.counted}
		if r.hasUsage {
			quantity.InputTokens, quantity.CachedTokens = r.usage.Input, r.usage.Cached
		}
		return quantity, ledger.UsageCounted
	}
	return ledger.Quantity{InputTokens: e.reserved.Input, OutputTokens: e.reserved.Output}, ledger.UsageEstimated
}

// units returns what a call consumed that is counted in a unit other than tokens.
func (e *evidence) units(outcome ledger.Outcome) (ledger.Quantity, ledger.UsageSource) {
	r := &e.reply
	switch {
	case e.unit == UnitImage && r.usage.Images > 0:
		return ledger.Quantity{OutputTokens: r.usage.Images * ImageTokens}, ledger.UsageReported
	case e.unit == UnitImage && outcome == ledger.OutcomeOK:
		return ledger.Quantity{OutputTokens: e.reserved.Output}, ledger.UsageEstimated
	case e.unit == UnitImage:
		return ledger.Quantity{}, ledger.UsageCounted
	case e.reserved.Output > 0: // sound that was made
		return ledger.Quantity{OutputTokens: r.counted}, ledger.UsageCounted
	case r.heard > 0:
		return ledger.Quantity{InputTokens: r.heard}, ledger.UsageReported
	}
	return ledger.Quantity{InputTokens: e.reserved.Input}, ledger.UsageCounted
}

// compute returns the time that is charged: what the handler or a trusted
// upstream says, but never more than the gate saw.
func (e *evidence) compute() time.Duration {
	switch {
	case e.facts.usage != nil && e.facts.usage.Duration > 0:
		return min(e.facts.usage.Duration, e.wall)
	case e.facts.upstream.Trusted && e.reply.hasInference:
		return min(e.reply.inference, e.wall)
	}
	return e.wall
}
