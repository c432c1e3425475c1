package limiter

import (
	"math"

	"github.com/penstockhq/penstock/limits"
)

// call is one decision under the lock of a shard.
type call struct {
	m  *Memory
	sh *shard

	now   int64 // ns
	ms    int64 // now in whole ms, rounded down
	stamp int64 // now in whole ms, rounded up
	day   *day

	key   *scope
	model *scope // nil: no row counts the model
	name  string // of the model

	want     Tokens // that the call asks for
	requests int64  // 1 for a new call, 0 for an extension
}

// read takes the time, once per decision: with two readings a call could be
// refused by the one and told not to wait by the other.
func (c *call) read() {
	c.now = c.m.now(c.sh)
	c.ms = c.now / 1e6
	c.stamp = (c.now + 1e6 - 1) / 1e6
	c.day = c.m.calendar.today(c.now)
}

// freshen drops what has left the windows and the day of the scopes.
func (c *call) freshen() {
	c.freshenScope(c.key)
	if c.model != nil {
		c.freshenScope(c.model)
	}
}

func (c *call) freshenScope(s *scope) {
	if c.ms >= s.expiry() || s.axis() != 0 {
		c.sh.expireAll(s, c.ms)
	}
	s.roll(c.day.number)
}

// prepare makes the axes that the rows ask for.
func (c *call) prepare(rows []limits.Binding) {
	for i := range rows {
		row := &rows[i]
		if row.Row.TokenType != limits.Total {
			c.countApart(row, row.Row.TokenType)
		}
		if row.Previous != nil && row.Previous.TokenType != limits.Total {
			c.countApart(row, row.Previous.TokenType)
		}
	}
}

// countApart makes the axis that a row needs.
func (c *call) countApart(row *limits.Binding, t limits.TokenType) {
	if s := c.scope(row); s != nil && c.sh.findAxis(s, t) == nil {
		c.m.addAxis(c.sh, s, t)
	}
}

// scope returns the scope of a row, nil if the row does not apply to the call.
func (c *call) scope(row *limits.Binding) *scope {
	switch row.Model {
	case "":
		return c.key
	case c.name:
		return c.model
	default:
		return nil
	}
}

// counter returns the scope that counts tokens of type t. Where none was asked
// for so far it is the one that counts them all.
func (c *call) counter(s *scope, t limits.TokenType) *scope {
	if t == limits.Total {
		return s
	}
	if axis := c.sh.findAxis(s, t); axis != nil {
		return axis
	}
	return s
}

// fits tells whether every limit has room for the call now, and notes what the
// tightest minute limits will have left after it.
func (c *call) fits(rows []limits.Binding, decision *Decision) bool {
	for i := range rows {
		row := &rows[i]
		s := c.scope(row)
		if s == nil {
			continue
		}
		minute, daily := &row.Row, &row.Row
		if row.Previous != nil {
			minute, daily = c.inForce(row, c.now)
		}
		if c.requests > 0 {
			if over(int64(s.requests), 1, minute.RPM) || over(int64(s.inFlight), 1, minute.MaxInFlight) ||
				over(int64(s.dayRequests), 1, min(daily.RPD, math.MaxUint32)) {
				return false
			}
		}
		if minute.TPM > 0 {
			counter, n := c.counter(s, minute.TokenType), c.want.Of(minute.TokenType)
			used := counter.live() + n
			if used > minute.TPM {
				return false
			}
			c.tighten(&decision.Tokens, counter, minute.TPM, used, n > 0 && !c.m.strict)
		}
		if daily.TPD > 0 && over(s.dayTokens(daily.TokenType), c.want.Of(daily.TokenType), daily.TPD) {
			return false
		}
		if minute.RPM > 0 {
			c.tighten(&decision.Requests, s, minute.RPM, int64(s.requests)+c.requests, true)
		}
	}
	return true
}

// over tells whether a limit, if it is set, has no room for more.
func over(used, more, limit int64) bool { return limit > 0 && used+more > limit }

// full tells whether the counters cannot take the call, limits or not.
func (c *call) full() bool {
	return c.key.full() || c.model != nil && c.model.full()
}

// charge counts the call in its scopes.
func (c *call) charge() {
	total := c.want.Of(limits.Total)
	c.chargeScope(c.key, total)
	if c.model != nil {
		c.chargeScope(c.model, total)
	}
}

func (c *call) chargeScope(s *scope, total int64) {
	c.hold(s, c.requests, total)
	if s.dayRequests < math.MaxUint32 {
		s.dayRequests += uint32(c.requests)
	}
	s.dayTotal += uint64(total) << 16 // full has made sure that there is room
	s.dayInput += uint64(c.want.Input) << 16
	s.dayOutput += uint64(c.want.Output) << 16
	for slot := s.axis(); slot != 0; {
		axis := c.sh.at(slot - 1)
		c.hold(axis, 0, c.want.Of(limits.TokenType(axis.hash)))
		slot = axis.axis()
	}
}

// hold charges the window of a scope: the log, or in strict mode, until the call
// is settled, the sum beside it.
func (c *call) hold(s *scope, requests, tokens int64) {
	if c.m.strict {
		s.addLive(tokens)
		tokens = 0
	}
	c.sh.add(s, c.stamp, requests, tokens)
}

// headroom notes what the tightest minute limits have left for a call that was
// refused.
func (c *call) headroom(rows []limits.Binding, decision *Decision) {
	decision.Requests, decision.Tokens = Headroom{}, Headroom{}
	for i := range rows {
		row := &rows[i]
		s := c.scope(row)
		if s == nil {
			continue
		}
		minute, _ := c.inForce(row, c.now)
		if minute.RPM > 0 {
			c.tighten(&decision.Requests, s, minute.RPM, int64(s.requests), false)
		}
		if minute.TPM > 0 {
			counter := c.counter(s, minute.TokenType)
			c.tighten(&decision.Tokens, counter, minute.TPM, counter.live(), false)
		}
	}
}

// tighten replaces a headroom by that of a limit with less left. With charged,
// the call is about to be charged to the window.
func (c *call) tighten(h *Headroom, s *scope, limit, used int64, charged bool) {
	remaining := max(0, limit-used)
	if h.Limit != 0 && remaining >= h.Remaining {
		return
	}
	empty := c.stamp + windowMS
	if !charged {
		empty = c.sh.emptyAt(s, c.ms)
	}
	h.Limit, h.Remaining, h.Reset = limit, remaining, millis(empty-c.ms)
}
