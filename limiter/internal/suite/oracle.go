package suite

import (
	"cmp"
	"slices"
	"time"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

// oracle is the limiter as one would explain it: plain lists of what happened,
// summed up anew for every question, in nanoseconds. It shares no code with the
// limiter but the types of its arguments.
type oracle struct {
	zone   *time.Location
	strict bool
	late   time.Duration // how long after the window an event may still count
	lease  time.Duration // of a call without a timeout; 0: it has no deadline

	now   time.Duration
	wall  time.Time
	date  string        // the date whose quota is being used
	since time.Duration // when that date was first seen

	scopes map[scopeName]*history
	calls  []*openCall
}

type scopeName struct{ key, model string }

// history is all that was ever charged to a scope.
type history struct {
	events []*event
	day    amount // of the date that is being used
}

// amount is a number of requests and of tokens by type.
type amount struct {
	requests int64
	tokens   [3]int64
}

// event is a charge to the window. The scopes of a call share it.
type event struct {
	at time.Duration
	amount
}

// openCall is a call in flight. Its parts are its admission and its extensions.
type openCall struct {
	handle   limiter.Handle
	request  limiter.Request
	scopes   []*history
	parts    []part
	deadline time.Duration // 0: none
}

type part struct {
	event  *event
	tokens limiter.Tokens
	today  bool // the day it was charged to is still being used
}

func byType(t limiter.Tokens) [3]int64 { return [3]int64{t.Input + t.Output, t.Input, t.Output} }

func (c *openCall) reserved() limiter.Tokens {
	var sum limiter.Tokens
	for _, p := range c.parts {
		sum.Input += p.tokens.Input
		sum.Output += p.tokens.Output
	}
	return sum
}

func (o *oracle) history(key, model string) *history {
	name := scopeName{key, model}
	if o.scopes[name] == nil {
		o.scopes[name] = &history{}
	}
	return o.scopes[name]
}

// observe moves the oracle to a time. A new date gives a new quota, and each date
// gives it once: when the clock is set back the later date goes on, for seven
// days at most.
func (o *oracle) observe(now time.Duration, wall time.Time) {
	o.now, o.wall = now, wall.In(o.zone)
	date := o.wall.Format(time.DateOnly)
	if date > o.date || o.behind() && now-o.since >= 7*24*time.Hour {
		o.date, o.since = date, now
		for _, h := range o.scopes {
			h.day = amount{}
		}
		for _, c := range o.calls {
			for i := range c.parts {
				c.parts[i].today = false
			}
		}
	}
}

func (o *oracle) behind() bool { return o.behindAt(o.now) }

// behindAt tells whether the wall clock will show an earlier date than the one that is
// being used.
func (o *oracle) behindAt(t time.Duration) bool {
	return o.wall.Add(t-o.now).Format(time.DateOnly) < o.date
}

// dayOver tells whether the day has ended at a later time: with its date, or when the
// wall clock is still behind after seven days.
func (o *oracle) dayOver(t time.Duration) bool {
	week := max(o.now, o.since+7*24*time.Hour)
	return !o.wall.Add(t-o.now).Before(o.endOf(o.date, o.wall)) || t >= week && o.behindAt(week)
}

// endOf returns the first instant after t at which the calendar shows a date
// later than the given one, found by looking at it minute by minute.
func (o *oracle) endOf(date string, t time.Time) time.Time {
	t = t.In(o.zone).Truncate(time.Minute)
	for _, step := range []time.Duration{30 * time.Minute, time.Minute} {
		for t.In(o.zone).Add(step).Format(time.DateOnly) <= date {
			t = t.Add(step)
		}
	}
	return t.Add(time.Minute)
}

// stamped tells whether an event counts at a time for a limiter that knows it to
// the millisecond: events rounded up, the present rounded down.
func stamped(e *event, t time.Duration) bool {
	up := (e.at + time.Millisecond - 1).Truncate(time.Millisecond)
	return t.Truncate(time.Millisecond) < up+time.Minute
}

// exact tells whether an event is in the minute before t.
func exact(e *event, t time.Duration) bool { return e.at > t-time.Minute }

// loose tells whether an event may still count where entries have been merged.
func (o *oracle) loose(e *event, t time.Duration) bool {
	return e.at > t-time.Minute-o.late-time.Millisecond
}

type counts func(e *event, t time.Duration) bool

// window sums what counts at a time, with what is held until settlement.
func (o *oracle) window(h *history, t time.Duration, counted counts) amount {
	var sum amount
	for _, e := range h.events {
		if counted(e, t) {
			sum.requests += e.requests
			for i := range sum.tokens {
				sum.tokens[i] += e.tokens[i]
			}
		}
	}
	if o.strict {
		for _, c := range o.calls {
			if slices.Contains(c.scopes, h) {
				for i, n := range byType(c.reserved()) {
					sum.tokens[i] += n
				}
			}
		}
	}
	return sum
}

// inFlight counts the calls of a scope that run at a time, if none outlives its
// deadline.
func (o *oracle) inFlight(h *history, t time.Duration) int64 {
	n := int64(0)
	for _, c := range o.calls {
		if slices.Contains(c.scopes, h) && (t == o.now || c.deadline == 0 || c.deadline > t) {
			n++
		}
	}
	return n
}

// failing returns the first rule that has no room for a call at a time, if
// nothing else comes until then; limits.None if all have.
func (o *oracle) failing(request limiter.Request, requests int64, t time.Duration, counted counts) limits.Rule {
	first := limits.None
	o.eachFailing(request, requests, t, counted, func(rule limits.Rule, _ *history, _ limits.Row) {
		if first == limits.None {
			first = rule
		}
	})
	return first
}

// guesses tells whether one of the rules that refuse a call now has room only when a
// call in flight ends.
func (o *oracle) guesses(request limiter.Request, requests int64) bool {
	guess := false
	o.eachFailing(request, requests, o.now, stamped, func(rule limits.Rule, h *history, row limits.Row) {
		switch rule {
		case limits.MaxInFlight:
			guess = true
		case limits.TPM:
			held := o.window(h, o.now, func(*event, time.Duration) bool { return false })
			guess = guess || held.tokens[row.TokenType]+byType(request.Tokens)[row.TokenType] > row.TPM
		}
	})
	return guess
}

// eachFailing calls visit for each rule that has no room for a call at a time.
func (o *oracle) eachFailing(request limiter.Request, requests int64, t time.Duration, counted counts, visit func(limits.Rule, *history, limits.Row)) {
	wall := o.wall.Add(t - o.now)
	want := byType(request.Tokens)
	for _, row := range request.Rows {
		if row.Model != "" && row.Model != request.Model {
			continue
		}
		h := o.history(request.Key, row.Model)
		sum := o.window(h, t, counted)
		minute, daily := row.Row, row.Row
		if row.Previous != nil {
			changed := row.ChangedAt.In(o.zone)
			nextMinute := changed.Add(time.Minute - time.Duration(changed.Second())*time.Second - time.Duration(changed.Nanosecond()))
			if wall.Before(nextMinute) {
				minute = *row.Previous
			}
			if wall.Before(o.endOf(changed.Format(time.DateOnly), changed)) {
				daily = *row.Previous
			}
		}
		day := h.day
		if t > o.now && (daily.RPD > 0 || daily.TPD > 0) && o.dayOver(t) {
			day = amount{}
		}
		check := func(rule limits.Rule, used, more, limit int64, row limits.Row) {
			if limit > 0 && used+more > limit {
				visit(rule, h, row)
			}
		}
		if requests > 0 {
			check(limits.RPM, sum.requests, 1, minute.RPM, minute)
			check(limits.MaxInFlight, o.inFlight(h, t), 1, minute.MaxInFlight, minute)
			check(limits.RPD, day.requests, 1, daily.RPD, daily)
		}
		check(limits.TPM, sum.tokens[minute.TokenType], want[minute.TokenType], minute.TPM, minute)
		check(limits.TPD, day.tokens[daily.TokenType], want[daily.TokenType], daily.TPD, daily)
	}
}

// charge records a charge to the scopes of a call.
func (o *oracle) charge(c *openCall, requests int64, tokens limiter.Tokens) {
	e := &event{at: o.now, amount: amount{requests: requests}}
	if !o.strict {
		e.tokens = byType(tokens)
	}
	c.parts = append(c.parts, part{e, tokens, true})
	for _, h := range c.scopes {
		h.events = append(h.events, e)
		h.day.requests += requests
		for i, n := range byType(tokens) {
			h.day.tokens[i] += n
		}
	}
}

func (o *oracle) admit(request limiter.Request, handle limiter.Handle) *openCall {
	c := &openCall{handle: handle, request: request, scopes: []*history{o.history(request.Key, "")}}
	if request.Model != "" {
		c.scopes = append(c.scopes, o.history(request.Key, request.Model))
	}
	if timeout := cmp.Or(request.Timeout, o.lease); timeout > 0 {
		c.deadline = o.now + timeout
	}
	o.charge(c, 1, request.Tokens)
	o.calls = append(o.calls, c)
	return c
}

// end settles a call, or undoes it.
func (o *oracle) end(c *openCall, actual limiter.Tokens, undo bool) {
	o.calls = slices.DeleteFunc(o.calls, func(other *openCall) bool { return other == c })
	reserved := c.reserved()
	charged := &event{at: o.now}
	for t := range charged.tokens {
		used, held := byType(actual)[t], byType(reserved)[t]
		if o.strict {
			charged.tokens[t] = used
		}
		if used >= held {
			if !o.strict {
				charged.tokens[t] = used - held
			}
			for _, h := range c.scopes {
				h.day.tokens[t] += used - held
			}
			continue
		}
		o.refund(c, t, held-used)
	}
	for _, h := range c.scopes {
		h.events = append(h.events, charged)
	}
	if first := c.parts[0]; undo {
		if stamped(first.event, o.now) {
			first.event.requests = 0
		}
		if first.today {
			for _, h := range c.scopes {
				h.day.requests--
			}
		}
	}
}

// refund takes tokens of type t back, from the newest part first, each where it
// was charged: what has left the window, or the day, is gone.
func (o *oracle) refund(c *openCall, t int, left int64) {
	for i := len(c.parts) - 1; i >= 0; i-- {
		p := c.parts[i]
		n := min(left, byType(p.tokens)[t])
		left -= n
		if !o.strict && stamped(p.event, o.now) {
			p.event.tokens[t] -= n
		}
		if p.today {
			for _, h := range c.scopes {
				h.day.tokens[t] -= n
			}
		}
	}
}

// forget drops what no question can reach any more.
func (o *oracle) forget() {
	for _, h := range o.scopes {
		h.events = slices.DeleteFunc(h.events, func(e *event) bool { return !o.loose(e, o.now) })
	}
}
