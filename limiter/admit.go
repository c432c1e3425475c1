package limiter

import (
	"math"

	"github.com/penstockhq/penstock/limits"
)

// fits reports whether every limit has room for the call now, and notes what the
// tightest minute limits will have left after it.
func (e *evaluation) fits(rows []limits.Binding, decision *Decision) bool {
	for i := range rows {
		row := &rows[i]
		s, minute, daily := e.binding(row, e.now)
		if s == nil {
			continue
		}
		if e.requests > 0 {
			if over(int64(s.requests), 1, minute.RPM) || over(int64(s.inFlight), 1, minute.MaxInFlight) ||
				over(int64(s.dayRequests), 1, min(daily.RPD, math.MaxUint32)) {
				return false
			}
		}
		if minute.TPM > 0 {
			counter, n := e.counter(s, minute.TokenType), e.want.Of(minute.TokenType)
			used := counter.live() + n
			if used > minute.TPM {
				return false
			}
			e.tighten(&decision.Tokens, counter, minute.TPM, used, n > 0 && !e.m.strict)
		}
		if daily.TPD > 0 && over(s.dayTokens(daily.TokenType), e.want.Of(daily.TokenType), daily.TPD) {
			return false
		}
		if minute.RPM > 0 {
			e.tighten(&decision.Requests, s, minute.RPM, int64(s.requests)+e.requests, true)
		}
	}
	return true
}

// fitsOrShrinks reports whether every limit has room for the call, if need be with less
// output, or why not.
func (e *evaluation) fitsOrShrinks(request *Request, decision *Decision) bool {
	for !e.fits(request.Rows, decision) {
		decision.Refusal = Refusal{}
		e.refuse(request.Rows, &decision.Refusal)
		if !e.shrink(request.OutputStep, &decision.Refusal) {
			return false
		}
		*decision = Decision{}
	}
	return true
}

// shrink lowers the output so far that the call can fit the token limit that it never
// fits, and says whether it can. Each turn satisfies one limit, and the output only
// falls: there are at most as many turns as limits.
func (e *evaluation) shrink(step int64, refused *Refusal) bool {
	if step <= 0 || !refused.Never || !refused.Rule.CountsTokens() || refused.TokenType == limits.Input {
		return false
	}
	excess := refused.Needed - refused.Limit
	lower := e.want.Output - (excess+step-1)/step*step
	if lower < step {
		return false
	}
	e.want.Output = lower
	return true
}

// over reports whether a limit, if it is set, has no room for more.
func over(used, more, limit int64) bool { return limit > 0 && used+more > limit }

// full reports whether the counters cannot take the call, limits or not.
func (e *evaluation) full() bool {
	return e.key.full() || e.model != nil && e.model.full()
}

// charge counts the call in its scopes.
func (e *evaluation) charge() {
	total := e.want.Of(limits.Total)
	e.chargeScope(e.key, total)
	if e.model != nil {
		e.chargeScope(e.model, total)
	}
}

func (e *evaluation) chargeScope(s *scope, total int64) {
	e.hold(s, e.requests, total)
	if s.dayRequests < math.MaxUint32 {
		s.dayRequests += uint32(e.requests)
	}
	s.dayTotal += uint64(total) << 16 // full has made sure that there is room
	s.dayInput += uint64(e.want.Input) << 16
	s.dayOutput += uint64(e.want.Output) << 16
	for slot := s.sub(); slot != 0; {
		sub := e.sh.at(slot - 1)
		e.hold(sub, 0, e.want.Of(limits.TokenType(sub.hash)))
		slot = sub.sub()
	}
}

// hold charges the window of a scope: the log, or in strict mode, until the call
// is settled, the sum beside it.
func (e *evaluation) hold(s *scope, requests, tokens int64) {
	if e.m.strict {
		s.addLive(tokens)
		tokens = 0
	}
	e.sh.add(s, e.stamp, requests, tokens)
}

// headroom notes what the tightest minute limits have left for a call that was
// refused.
func (e *evaluation) headroom(rows []limits.Binding, decision *Decision) {
	decision.Requests, decision.Tokens = Headroom{}, Headroom{}
	for i := range rows {
		row := &rows[i]
		s := e.scope(row)
		if s == nil {
			continue
		}
		minute, _ := e.inForce(row, e.now)
		if minute.RPM > 0 {
			e.tighten(&decision.Requests, s, minute.RPM, int64(s.requests), false)
		}
		if minute.TPM > 0 {
			counter := e.counter(s, minute.TokenType)
			e.tighten(&decision.Tokens, counter, minute.TPM, counter.live(), false)
		}
	}
}

// tighten replaces a headroom by that of a limit with less left. With charged,
// the call is about to be charged to the window.
func (e *evaluation) tighten(h *Headroom, s *scope, limit, used int64, charged bool) {
	remaining := max(0, limit-used)
	if h.Limit != 0 && remaining >= h.Remaining {
		return
	}
	empty := e.stamp + windowMS
	if !charged {
		empty = e.sh.emptyAt(s, e.ms)
	}
	h.Limit, h.Remaining, h.Reset = limit, remaining, millis(empty-e.ms)
}
