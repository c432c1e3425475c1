package limiter

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// never is a time that does not come.
const never = int64(math.MaxInt64)

// guessedWait is the hint where nothing bounds how long a call in flight runs.
const guessedWait = time.Second

// moment is when a rule, or a set of rules, admits the call.
type moment struct {
	time int64 // ns
	hint bool  // it is a guess
}

// refuse says which rule keeps the call out for longest, and for how long.
//
// Between two changes of limits usage only falls, so that a rule that is
// satisfied stays so, and the wait is the maximum over all rules. Where limits
// are about to change the rules are asked again from each change on.
func (c *call) refuse(rows []Row, refusal *Refusal) {
	at := c.worst(rows, c.now, refusal)
	for from := c.now; ; {
		if from = c.nextChange(rows, from); from == 0 || at.time < from {
			break
		}
		var then Refusal
		if at = c.worst(rows, from, &then); at.time == never {
			*refusal = then
		}
	}
	refusal.Hint = at.hint
	refusal.Never = at.time == never
	if !refusal.Never {
		refusal.RetryAfter = max(time.Millisecond, millis((at.time-c.now+1e6-1)/1e6))
	}
}

// worst finds the failing rule with the longest wait from a time on (ns), and
// describes it. It returns from if none fails.
func (c *call) worst(rows []Row, from int64, refusal *Refusal) moment {
	worst := moment{time: from}
	for i := range rows {
		s := c.scope(&rows[i])
		if s == nil {
			continue
		}
		for _, rule := range c.rules(&rows[i], s, from) {
			if !over(rule.Used, rule.Needed, rule.Limit) {
				continue
			}
			at := c.admits(s, &rule, from)
			if at.time > worst.time || refusal.Rule == RuleNone {
				worst, *refusal = at, rule
			}
		}
	}
	return worst
}

// rules returns the limits of a row at a time (ns) as refusals. Limits that do
// not apply are 0.
func (c *call) rules(row *Row, s *scope, from int64) [5]Refusal {
	minute, daily := c.inForce(row, from)
	rules := [5]Refusal{
		{Rule: RuleRPM, Limit: minute.RPM, Used: int64(s.requests), Needed: c.requests},
		{Rule: RuleTPM, Limit: minute.TPM, Used: c.counter(s, minute.TokenType).live(), Needed: c.want.Of(minute.TokenType)},
		{Rule: RuleRPD, Limit: min(daily.RPD, math.MaxUint32), Used: int64(s.dayRequests), Needed: c.requests},
		{Rule: RuleTPD, Limit: daily.TPD, Used: s.dayTokens(daily.TokenType), Needed: c.want.Of(daily.TokenType)},
		{Rule: RuleMaxInFlight, Limit: minute.MaxInFlight, Used: int64(s.inFlight), Needed: c.requests},
	}
	for i := range rules {
		rule := &rules[i]
		rule.Model, rule.TokenType = row.Model, minute.TokenType
		switch rule.Rule {
		case RuleRPD, RuleTPD:
			rule.TokenType = daily.TokenType
			if from >= c.day.end {
				rule.Used = 0
			}
		}
		if c.requests == 0 && rule.Rule != RuleTPM && rule.Rule != RuleTPD {
			rule.Limit = 0 // an extension is no further request
		}
	}
	return rules
}

// admits returns when a rule that fails at from (ns) admits the call.
func (c *call) admits(s *scope, rule *Refusal, from int64) moment {
	if rule.Needed > rule.Limit {
		return moment{time: never}
	}
	target := rule.Limit - rule.Needed
	switch rule.Rule {
	case RuleRPM:
		at, _ := c.sh.room(s, c.ms, target, false)
		return moment{time: max(from, at*1e6)}
	case RuleTPM:
		at, left := c.sh.room(c.counter(s, rule.TokenType), c.ms, target, true)
		if left <= target {
			return moment{time: max(from, at*1e6)}
		}
		// What is left is held by running calls: it is charged when they end and
		// stays for a window.
		end := c.ended(s, left-target, func(r *reservation) int64 { return c.sh.open.reserved(r).Of(rule.TokenType) })
		return moment{time: max(from, end+int64(Window)), hint: true}
	case RuleMaxInFlight:
		end := c.ended(s, rule.Used-target, func(*reservation) int64 { return 1 })
		return moment{time: max(from, end), hint: true}
	default:
		return moment{time: max(from, c.day.end)}
	}
}

// ended returns the time (ns) by which running calls of a scope end that hold
// this much together, if each runs until its deadline. Where a call has none, or
// is past it, the time is guessed.
func (c *call) ended(s *scope, weight int64, of func(*reservation) int64) int64 {
	type ending struct{ at, weight int64 }
	var endings []ending
	c.sh.eachOpen(func(r *reservation) {
		if !c.sh.holds(r, s) {
			return
		}
		at := r.deadline * 1e6
		if at <= c.now {
			at = c.now + int64(guessedWait)
		}
		endings = append(endings, ending{at, of(r)})
	})
	slices.SortFunc(endings, func(a, b ending) int { return cmp.Compare(a.at, b.at) })
	for _, end := range endings {
		if weight -= end.weight; weight <= 0 {
			return end.at
		}
	}
	return c.now + int64(guessedWait)
}
