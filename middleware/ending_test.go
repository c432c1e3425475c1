package middleware

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// TestEndings is the table of endings in docs/design.md, row by row. Refused calls
// have no ending: they never reach a handler, and a crash leaves no evidence.
func TestEndings(t *testing.T) {
	const (
		nothing  = "void"
		reported = "reported"
		counted  = "counted"
		estimate = "estimated"
	)
	// A call that reserved 100 and 50 tokens, may take 400 and 50, holds credit for 120
	// and 40, and ran for a second.
	type change = func(e *evidence)
	whole := func(e *evidence) {
		e.reply = reading{wrote: true, status: 200, produced: true, hasUsage: true}
		e.reply.usage = dialect.Usage{Input: 90, Cached: 10, Output: 20}
	}
	stream := func(e *evidence) { // usage comes with its last event
		e.reply = reading{wrote: true, status: 200, stream: true, produced: true, counted: 7}
	}
	status := func(code int) change {
		return func(e *evidence) { e.reply = reading{wrote: true, status: code} }
	}
	ended := func(cause error) change { return func(e *evidence) { e.cause = cause } }
	truncated := func(e *evidence) { e.reply.truncated = true }
	silent := func(e *evidence) { e.reply = reading{} }
	left := func(e *evidence) { e.cause, e.clientGone = context.Canceled, true }
	tokens := func(input, cached, output int64) ledger.Quantity {
		return ledger.Quantity{InputTokens: input, CachedTokens: cached, OutputTokens: output, Duration: time.Second}
	}
	for _, test := range []struct {
		ending  string
		changes []change
		outcome ledger.Outcome
		source  string
		charged ledger.Quantity
	}{
		{
			"no upstream reached",
			[]change{silent, func(e *evidence) { e.facts.failure = errNoAnswer }},
			ledger.OutcomeUpstreamFailed, nothing,
			ledger.Quantity{},
		},
		{"5xx before the first byte", []change{status(503)}, ledger.OutcomeUpstreamFailed, nothing, ledger.Quantity{}},
		{
			"the gateway's credentials are refused",
			[]change{status(401)},
			ledger.OutcomeUpstreamFailed, nothing,
			ledger.Quantity{},
		},
		{
			"a redirect",
			[]change{status(302), func(e *evidence) { e.reply.redirects = true }},
			ledger.OutcomeUpstreamFailed, nothing,
			ledger.Quantity{},
		},
		{"upstream refused", []change{status(400)}, ledger.OutcomeUpstreamRefused, nothing, ledger.Quantity{}},

		{"complete, usage reported", []change{whole}, ledger.OutcomeOK, reported, tokens(90, 10, 20)},
		{"complete stream, usage reported", []change{stream, func(e *evidence) {
			e.reply.usage, e.reply.hasUsage = dialect.Usage{Input: 90, Output: 9}, true
		}}, ledger.OutcomeOK, reported, tokens(90, 0, 9)},
		{"complete, reported by the handler", []change{whole, func(e *evidence) {
			e.facts.usage = &Usage{InputTokens: 5, CachedTokens: 9, OutputTokens: -1, Duration: time.Millisecond}
		}}, ledger.OutcomeOK, reported, ledger.Quantity{InputTokens: 5, CachedTokens: 5, Duration: time.Millisecond}},
		{"complete, a figure only at the beginning", []change{stream, func(e *evidence) {
			e.reply.usage, e.reply.hasUsage, e.reply.early = dialect.Usage{Input: 90, Output: 1}, true, true
		}}, ledger.OutcomeOK, counted, tokens(90, 0, 7)},
		{"nothing is generated, usage of zeros", []change{whole, func(e *evidence) {
			e.noOutput, e.reply.usage = true, dialect.Usage{}
		}}, ledger.OutcomeOK, estimate, tokens(100, 0, 0)},
		{"complete stream, usage not reported", []change{stream}, ledger.OutcomeOK, counted, tokens(100, 0, 7)},
		{
			"complete, usage not reported",
			[]change{whole, func(e *evidence) { e.reply.hasUsage = false }},
			ledger.OutcomeOK, estimate, tokens(100, 0, 50),
		},

		{"the client left", []change{stream, left, truncated}, ledger.OutcomeClientGone, counted, tokens(100, 0, 7)},
		{
			"the client left before the first byte",
			[]change{silent, left},
			ledger.OutcomeClientGone, counted, tokens(100, 0, 0),
		},
		{
			"the client cannot be written to",
			[]change{stream, func(e *evidence) { e.reply.writeError = errors.New("broken pipe") }},
			ledger.OutcomeClientGone, counted, tokens(100, 0, 7),
		},

		{
			"the upstream died midway",
			[]change{stream, truncated},
			ledger.OutcomeUpstreamFailed, counted, tokens(100, 0, 7),
		},
		{
			"the handler panicked midway",
			[]change{stream, func(e *evidence) { e.returned = false }},
			ledger.OutcomeUpstreamFailed, counted, tokens(100, 0, 7),
		},
		{
			"an error event midway",
			[]change{stream, func(e *evidence) { e.reply.errorEvent = true }},
			ledger.OutcomeUpstreamFailed, counted, tokens(100, 0, 7),
		},
		{
			"an error event first",
			[]change{stream, func(e *evidence) { e.reply.errorEvent, e.reply.produced = true, false }},
			ledger.OutcomeUpstreamFailed, nothing,
			ledger.Quantity{},
		},
		{
			"a body cut midway",
			[]change{status(200), truncated, func(e *evidence) { e.reply.passing = true }},
			ledger.OutcomeUpstreamFailed, counted, tokens(100, 0, 0),
		},
		{
			"an error with the status of success",
			[]change{status(200), func(e *evidence) { e.reply.readError = errOnlyError }},
			ledger.OutcomeUpstreamFailed, nothing,
			ledger.Quantity{},
		},

		{
			"the time limit was reached",
			[]change{stream, ended(errDeadline), truncated},
			ledger.OutcomeDeadline, counted, tokens(100, 0, 7),
		},
		{
			"the time limit, nothing produced",
			[]change{silent, ended(errDeadline)},
			ledger.OutcomeDeadline, nothing,
			ledger.Quantity{},
		},
		{
			"the time limit, when all was complete",
			[]change{whole, ended(errDeadline)},
			ledger.OutcomeOK, reported, tokens(90, 10, 20),
		},

		{"the credit ran out midway, by tokens", []change{stream, truncated, func(e *evidence) {
			e.facts.failure, e.reply.counted = errCredit, 70
		}}, ledger.OutcomeCreditExhausted, counted, tokens(100, 0, 40)},
		{
			"the credit ran out midway, by time",
			[]change{stream, truncated, ended(errCredit)},
			ledger.OutcomeCreditExhausted, counted, tokens(100, 0, 7),
		},
		{
			"the credit ran out, when all was complete",
			[]change{whole, ended(errCredit)},
			ledger.OutcomeOK, reported, tokens(90, 10, 20),
		},
		{"more than was asked for", []change{stream, truncated, func(e *evidence) {
			e.facts.failure, e.reply.counted = errOverCap, 120
		}}, ledger.OutcomeUpstreamFailed, counted, tokens(100, 0, 50)},
		{
			"the key was revoked",
			[]change{stream, truncated, ended(errRevoked)},
			ledger.OutcomeRevoked, counted, tokens(100, 0, 7),
		},

		{
			"more than the hold, as far as the call asked for it",
			[]change{whole, func(e *evidence) { e.reply.usage = dialect.Usage{Input: 399, Output: 50} }},
			ledger.OutcomeOK, reported, tokens(399, 0, 50),
		},
		{"never beyond what was asked for", []change{whole, func(e *evidence) {
			e.reply.usage, e.wall = dialect.Usage{Input: 1 << 40, Cached: 1 << 40, Output: 1 << 40}, time.Hour
		}}, ledger.OutcomeOK, reported, ledger.Quantity{InputTokens: 400, CachedTokens: 400, OutputTokens: 50, Duration: time.Minute}},
		{"a trusted upstream's tokens", []change{whole, func(e *evidence) {
			e.facts.upstream.Trusted, e.reply.usage = true, dialect.Usage{Input: 6095, Cached: 1, Output: 51}
		}}, ledger.OutcomeOK, reported, tokens(6095, 1, 51)},
		{"a trusted upstream that reports nothing", []change{stream, func(e *evidence) {
			e.facts.upstream.Trusted, e.reply.counted = true, 51
		}}, ledger.OutcomeOK, counted, tokens(100, 0, 50)},
		{"a trusted upstream's time", []change{whole, func(e *evidence) {
			e.facts.upstream.Trusted, e.reply.inference, e.reply.hasInference = true, time.Millisecond, true
		}}, ledger.OutcomeOK, reported, ledger.Quantity{InputTokens: 90, CachedTokens: 10, OutputTokens: 20, Duration: time.Millisecond}},
		{
			"a fixed cost",
			[]change{status(200), func(e *evidence) { e.fixed = true }},
			ledger.OutcomeOK, reported, tokens(100, 0, 50),
		},
		{
			"a fixed cost, client gone",
			[]change{status(200), left, func(e *evidence) { e.fixed = true }},
			ledger.OutcomeClientGone, nothing, tokens(100, 0, 0),
		},
	} {
		seen := evidence{returned: true, wall: time.Second, reserved: limiter.Tokens{Input: 100, Output: 50}}
		seen.most = ledger.Quantity{InputTokens: 400, OutputTokens: 50, Duration: time.Minute}
		seen.facts.covered = ledger.Quantity{InputTokens: 120, OutputTokens: 40, Duration: time.Minute}
		for _, change := range test.changes {
			change(&seen)
		}
		end := decide(&seen)
		source := end.settlement.Usage.String()
		if end.void {
			source = nothing
		}
		same := end.outcome == test.outcome && end.settlement.Outcome == test.outcome
		if !same || source != test.source || end.settlement.Quantity != test.charged {
			t.Errorf("%s: %v, %s, %+v; want %v, %s, %+v", test.ending,
				end.outcome, source, end.settlement.Quantity, test.outcome, test.source, test.charged)
		}
	}
}
