package suite

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

// judge compares a decision, and the wait of a refusal, with the oracle.
func (d *driver) judge(t *rapid.T, request limiter.Request, requests int64, decision limiter.Decision) {
	now := d.o.now
	if decision.Admitted {
		if rule := d.o.failing(request, requests, now, exact); rule != limits.None {
			t.Fatalf("admitted %+v over the limit of %v", request, rule)
		}
		if rule := d.o.failing(request, requests, now, stamped); d.exact && rule != limits.None {
			t.Fatalf("admitted %+v too early for %v", request, rule)
		}
		return
	}
	if d.o.failing(request, requests, now, d.o.loose) == limits.None {
		t.Fatalf("refused %+v, which fits: %+v", request, decision.Refusal)
	}
	refusal := decision.Refusal
	after := now + refusal.RetryAfter
	switch {
	case refusal.Never:
		if rule := d.o.failing(request, requests, now+1000*time.Hour, exact); rule == limits.None && !d.pending() {
			t.Fatalf("refused forever %+v, which fits an empty window: %+v", request, refusal)
		}
	case refusal.RetryAfter <= 0 || refusal.RetryAfter%time.Millisecond != 0:
		t.Fatalf("the wait is %v", refusal.RetryAfter)
	case !d.exact:
	case refusal.Hint != d.o.guesses(request, requests) && !d.pending():
		t.Fatalf("hint is %v, which is wrong: %+v", refusal.Hint, refusal)
	case refusal.Hint:
		if d.timeout > 0 && !d.o.strict && refusal.Rule == limits.MaxInFlight && !d.overdue() {
			if rule := d.o.failing(request, requests, after, stamped); rule != limits.None {
				t.Fatalf("after %v, with all calls at their deadline, %v still refuses: %+v", refusal.RetryAfter, rule, refusal)
			}
		}
	default:
		if rule := d.o.failing(request, requests, after, exact); rule != limits.None {
			t.Fatalf("after %v %v still refuses: %+v", refusal.RetryAfter, rule, refusal)
		}
		if d.o.failing(request, requests, after-time.Millisecond, stamped) == limits.None {
			t.Fatalf("the wait of %v is too long: %+v", refusal.RetryAfter, refusal)
		}
	}
}

// pending tells whether a change of limits may still be ahead.
func (d *driver) pending() bool {
	return slices.ContainsFunc(d.rows, func(row limits.Binding) bool { return row.Previous != nil })
}

// overdue tells whether a call runs past its deadline.
func (d *driver) overdue() bool {
	return slices.ContainsFunc(d.o.calls, func(c *openCall) bool { return c.deadline <= d.o.now+time.Millisecond })
}

// checkMonotone asks again with lower limits, more rules and another order.
func (d *driver) checkMonotone(t *rapid.T, request limiter.Request) {
	before, err := d.m.Inspect(background, request)
	if err != nil {
		t.Fatal(err)
	}
	backwards := request
	backwards.Rows = slices.Clone(request.Rows)
	slices.Reverse(backwards.Rows)
	after, err := d.m.Inspect(background, backwards)
	if err != nil {
		t.Fatal(err)
	}
	if after.Admitted || after.Refusal.RetryAfter != before.Refusal.RetryAfter || after.Refusal.Never != before.Refusal.Never {
		t.Fatalf("in another order of rules the refusal is %+v, not %+v", after.Refusal, before.Refusal)
	}
	tighter := request
	tighter.Rows = append(slices.Clone(request.Rows), limits.Binding{Row: d.drawLimits(t, request.Rows[0].Row)})
	for i := range tighter.Rows {
		tighter.Rows[i].Row.TPM -= tighter.Rows[i].Row.TPM / 2
		tighter.Rows[i].Row.RPM -= tighter.Rows[i].Row.RPM / 2
	}
	if view, err := d.m.Inspect(background, tighter); err != nil || view.Admitted {
		t.Fatalf("tighter limits admit what was refused: %+v %v", tighter.Rows, err)
	}
}

// checkHeadroom checks what is told for the headers. The oracle has not counted
// the call yet.
func (d *driver) checkHeadroom(t *rapid.T, request limiter.Request, decision limiter.Decision) {
	if !d.exact || d.pending() {
		return
	}
	want := byType(request.Tokens)
	requests, tokens := int64(-1), int64(-1)
	for _, row := range request.Rows {
		if row.Model != "" && row.Model != request.Model {
			continue
		}
		sum := d.o.window(d.o.history(request.Key, row.Model), d.o.now, stamped)
		if left := row.Row.RPM - sum.requests - 1; row.Row.RPM > 0 && (requests < 0 || left < requests) {
			requests = left
		}
		kind := row.Row.TokenType
		if left := row.Row.TPM - sum.tokens[kind] - want[kind]; row.Row.TPM > 0 && (tokens < 0 || left < tokens) {
			tokens = left
		}
	}
	if got := decision.Requests; got.Limit > 0 != (requests >= 0) || got.Limit > 0 && got.Remaining != requests {
		t.Fatalf("headroom of requests is %+v, want %d", got, requests)
	}
	if got := decision.Tokens; got.Limit > 0 != (tokens >= 0) || got.Limit > 0 && got.Remaining != tokens {
		t.Fatalf("headroom of tokens is %+v, want %d", got, tokens)
	}
}

// compareUsage compares all that is counted with the oracle.
func (d *driver) compareUsage(t *rapid.T) {
	for _, key := range d.keys {
		for _, model := range []string{"tiny", "large"} {
			view, err := d.m.Inspect(background, limiter.Request{Key: key, Model: model, Rows: d.rows})
			if err != nil {
				t.Fatal(err)
			}
			for _, scope := range view.Scopes {
				d.compareScope(t, d.o.history(key, scope.Model), scope)
			}
		}
	}
}

func (d *driver) compareScope(t *rapid.T, h *history, got limiter.ScopeState) {
	least, most := d.o.window(h, d.o.now, exact), d.o.window(h, d.o.now, d.o.loose)
	if d.exact {
		least = d.o.window(h, d.o.now, stamped)
		most = least
	}
	within := func(name string, got, least, most int64) {
		if got < least || got > most {
			t.Fatalf("%s are %d, want between %d and %d: %+v", name, got, least, most, h)
		}
	}
	within("requests in the window", got.Window.Requests, least.requests, most.requests)
	within("tokens in the window", got.Window.Tokens, least.tokens[0], most.tokens[0])
	if got.Window.Input >= 0 {
		within("input tokens in the window", got.Window.Input, least.tokens[1], most.tokens[1])
	}
	if got.Window.Output >= 0 {
		within("output tokens in the window", got.Window.Output, least.tokens[2], most.tokens[2])
	}
	if day := (limiter.Sums{Requests: h.day.requests, Tokens: h.day.tokens[0], Input: h.day.tokens[1], Output: h.day.tokens[2]}); got.Day != day {
		t.Fatalf("the day has %+v, want %+v", got.Day, day)
	}
	if n := d.o.inFlight(h, d.o.now); got.InFlight != n {
		t.Fatalf("%d calls are in flight, want %d", got.InFlight, n)
	}
	var reserved limiter.Tokens
	for _, c := range d.o.calls {
		if slices.Contains(c.scopes, h) {
			reserved.Input += c.reserved().Input
			reserved.Output += c.reserved().Output
		}
	}
	if got.Reserved != reserved {
		t.Fatalf("%+v is reserved, want %+v", got.Reserved, reserved)
	}
}
