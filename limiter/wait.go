package limiter

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/penstockhq/penstock/limits"
)

// never is a time that does not come.
const never = int64(math.MaxInt64)

// guessedWait is the hint where nothing bounds how long a call in flight runs.
const guessedWait = time.Second

// maxScan is the maximum number of reservations of a shard that are searched for a hint,
// so that many refused calls stay cheap.
const maxScan = 4096

// moment is when a rule, or a set of rules, admits the call.
type moment struct {
	time int64 // ns
	hint bool  // it is a guess, or one of the rules behind it is
}

// refuse says which rule keeps the call out for longest, and for how long.
//
// Between two changes of limits usage only falls, so that a rule that is
// satisfied stays so, and the wait is the maximum over all rules. Where limits
// are about to change the rules are asked again from each change on.
func (e *evaluation) refuse(rows []limits.Binding, refusal *Refusal) {
	at := e.worst(rows, e.now, refusal)
	guessed := at.hint // the other rules do not decide when a call in flight ends
	for from := e.now; ; {
		// The caller waits whole milliseconds, and so perhaps until after the change.
		if from = e.nextChange(rows, from); from == 0 || at.time != never && e.now+int64(e.waitUntil(at)) < from {
			break
		}
		var then Refusal
		if at = e.worst(rows, from, &then); at.time == never {
			*refusal = then
		}
		guessed = guessed || at.hint
	}
	refusal.Never = at.time == never
	if !refusal.Never {
		refusal.Hint = guessed
		refusal.RetryAfter = e.waitUntil(at)
	}
}

// waitUntil returns the wait until a moment, rounded up to whole milliseconds.
func (e *evaluation) waitUntil(at moment) time.Duration {
	return max(time.Millisecond, millis(ceilMS(at.time-e.now)))
}

// worst finds the failing rule with the longest wait from a time on (ns), and
// describes it. It returns from if none fails. The moment is a guess if that of any
// failing rule is: the calls in flight may outlast the longest wait.
func (e *evaluation) worst(rows []limits.Binding, from int64, refusal *Refusal) moment {
	worst, guessed := moment{time: from}, false
	for i := range rows {
		row := &rows[i]
		s, minute, daily := e.binding(row, from)
		if s == nil {
			continue
		}
		for rule := limits.RPM; rule <= limits.MaxInFlight; rule++ {
			limit, used, needed, kind := e.bound(rule, s, minute, daily, from)
			if !over(used, needed, limit) {
				continue
			}
			at := e.admits(s, rule, kind, limit-needed, from)
			guessed = guessed || at.hint
			if at.time > worst.time || refusal.Rule == limits.None {
				worst = at
				refusal.Rule, refusal.Model, refusal.TokenType = rule, row.Model, kind
				refusal.Limit, refusal.Used, refusal.Needed = limit, used, needed
			}
		}
	}
	worst.hint = guessed
	return worst
}

// bound returns a limit as it stands at a time (ns), what is counted against it
// and what the call asks for. A limit that does not apply to the call is 0.
func (e *evaluation) bound(rule limits.Rule, s *scope, minute, daily *limits.Row, from int64) (limit, used, needed int64, kind limits.TokenType) {
	kind = minute.TokenType
	switch rule {
	case limits.RPM:
		limit, used, needed = minute.RPM, int64(s.requests), e.requests
	case limits.TPM:
		limit, used, needed = minute.TPM, e.counter(s, kind).live(), e.want.Of(kind)
	case limits.RPD:
		kind = daily.TokenType
		limit, used, needed = min(daily.RPD, math.MaxUint32), int64(s.dayRequests), e.requests
	case limits.TPD:
		kind = daily.TokenType
		limit, used, needed = daily.TPD, s.dayTokens(kind), e.want.Of(kind)
	case limits.MaxInFlight:
		limit, used, needed = minute.MaxInFlight, int64(s.inFlight), e.requests
	}
	if from >= e.day.end && (rule == limits.RPD || rule == limits.TPD) {
		used = 0
	}
	if e.requests == 0 && rule != limits.TPM && rule != limits.TPD {
		limit = 0 // an extension is no further request
	}
	return limit, used, needed, kind
}

// admits returns when a rule that fails at from (ns) admits the call: when at
// most target is used.
func (e *evaluation) admits(s *scope, rule limits.Rule, kind limits.TokenType, target, from int64) moment {
	if target < 0 {
		return moment{time: never}
	}
	switch rule {
	case limits.RPM:
		at, _ := e.sh.room(s, e.ms, target, false)
		return moment{time: max(from, toNS(at))}
	case limits.TPM:
		counter := e.counter(s, kind)
		at, left := e.sh.room(counter, e.ms, target, true)
		if left <= target {
			return moment{time: max(from, toNS(at))}
		}
		// What is left is held by running calls: it is charged when they end and
		// stays for a window.
		end := e.ended(s, left-target, func(r *reservation) int64 { return e.sh.open.reserved(r).Of(kind) })
		return moment{time: max(from, end+int64(Window)), hint: true}
	case limits.MaxInFlight:
		end := e.ended(s, int64(s.inFlight)-target, func(*reservation) int64 { return 1 })
		return moment{time: max(from, end), hint: true}
	default:
		return moment{time: max(from, e.day.end)}
	}
}

// ended returns the time (ns) by which running calls of a scope end that hold
// this much together, if each runs until its deadline. Where a call has none, or
// is past it, the time is guessed.
func (e *evaluation) ended(s *scope, weight int64, of func(*reservation) int64) int64 {
	type ending struct{ at, weight int64 }
	var endings []ending
	if e.sh.open.length > maxScan {
		return e.now + int64(guessedWait)
	}
	e.sh.eachOpen(func(r *reservation) {
		if !e.sh.holds(r, s) {
			return
		}
		at := toNS(r.deadline)
		if at <= e.now {
			at = e.now + int64(guessedWait)
		}
		endings = append(endings, ending{at, of(r)})
	})
	slices.SortFunc(endings, func(a, b ending) int { return cmp.Compare(a.at, b.at) })
	for _, end := range endings {
		if weight -= end.weight; weight <= 0 {
			return end.at
		}
	}
	return e.now + int64(guessedWait)
}
