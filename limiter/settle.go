package limiter

import (
	"math"

	"github.com/penstockhq/penstock/limits"
)

// find locks the shard of a handle and prepares the call that it names. On an
// error nothing is locked.
func (c *call) find(handle Handle) (slot uint32, err error) {
	if !c.m.issued(handle) {
		return 0, ErrForged
	}
	c.sh = &c.m.shards[handle.Slot>>32]
	slot = uint32(handle.Slot)
	c.sh.mu.Lock()
	r := c.sh.open.at(slot)
	if r.id != handle.ID {
		c.sh.mu.Unlock()
		return 0, ErrResolved
	}
	c.read()
	c.attach(r)
	return slot, nil
}

// attach takes the scopes of a reservation.
func (c *call) attach(r *reservation) {
	c.key = c.sh.at(r.key - 1)
	if r.model != 0 {
		c.model = c.sh.at(r.model - 1)
	}
	c.freshen()
}

// extend raises a reservation.
func (c *call) extend(slot uint32, tokens Tokens, rows []limits.Binding, decision *Decision) error {
	r := c.sh.open.at(slot)
	reserved := c.sh.open.reserved(r)
	c.want = Tokens{
		Input:  max(0, tokens.Input-reserved.Input),
		Output: max(0, tokens.Output-reserved.Output),
	}
	c.prepare(rows)
	if c.want != (Tokens{}) {
		if !c.fits(rows, decision) {
			c.refuse(rows, &decision.Refusal)
			c.headroom(rows, decision)
			return nil
		}
		if c.full() {
			*decision = Decision{}
			return ErrFull
		}
		c.charge()
		c.addPart(slot)
	} else {
		c.headroom(rows, decision)
	}
	decision.Admitted = true
	return nil
}

// addPart records what an extension charged. The newest part keeps the place of
// the reservation, as the handle names it.
func (c *call) addPart(slot uint32) {
	r := c.sh.open.at(slot)
	if r.stamp == c.stamp && r.day == c.day.number {
		r.input += uint32(c.want.Input)
		r.output += uint32(c.want.Output)
		return
	}
	older := c.sh.open.take()
	part := c.sh.open.at(older)
	*part = *r
	part.id = partMark
	r.next = older + 1
	r.stamp, r.day = c.stamp, c.day.number
	r.input, r.output = uint32(c.want.Input), uint32(c.want.Output)
}

// settle ends a reservation with the tokens that were used. With undo the
// request is taken back too.
func (c *call) settle(slot uint32, actual Tokens, undo bool) {
	r := c.sh.open.at(slot)
	reserved := r.tokens()
	if r.next != 0 {
		reserved = c.sh.open.reserved(r)
	}
	total := c.dayChange(r, limits.Total, reserved, actual)
	input := c.dayChange(r, limits.Input, reserved, actual)
	output := c.dayChange(r, limits.Output, reserved, actual)
	for s := c.key; ; s = c.model {
		c.settleScope(s, r, reserved, actual)
		s.addDay(total, input, output)
		if undo {
			c.undoRequest(s, r)
		}
		s.inFlight--
		if s == c.model || c.model == nil {
			break
		}
	}
	c.sh.open.releaseAll(slot)
}

// settleScope corrects the windows of a scope and its axes.
func (c *call) settleScope(s *scope, r *reservation, reserved, actual Tokens) {
	c.settleWindow(s, r, limits.Total, reserved.Of(limits.Total), actual.Of(limits.Total))
	for slot := s.axis(); slot != 0; {
		axis := c.sh.at(slot - 1)
		t := limits.TokenType(axis.hash)
		c.settleWindow(axis, r, t, reserved.Of(t), actual.Of(t))
		slot = axis.axis()
	}
}

// settleWindow corrects the window of a scope for tokens of one type.
func (c *call) settleWindow(s *scope, r *reservation, t limits.TokenType, reserved, actual int64) {
	switch {
	case c.m.strict:
		s.addLive(-reserved)
		c.sh.add(s, c.stamp, 0, actual)
	case actual > reserved:
		c.sh.add(s, c.stamp, 0, actual-reserved)
	default:
		left := reserved - actual
		for part := r; left > 0; part = c.sh.open.at(part.next - 1) {
			n := min(left, part.tokens().Of(t))
			c.sh.refund(s, c.ms, part.stamp, 0, n)
			left -= n
			if part.next == 0 {
				break
			}
		}
	}
}

// dayChange returns by how much tokens of type t change today's counter: excess
// goes to today, refunds only to the day of the reservation.
func (c *call) dayChange(r *reservation, t limits.TokenType, reserved, actual Tokens) int64 {
	left := reserved.Of(t) - actual.Of(t)
	if left <= 0 || r.next == 0 && r.day == c.day.number {
		return -left
	}
	change := int64(0)
	for part := r; left > 0; part = c.sh.open.at(part.next - 1) {
		n := min(left, part.tokens().Of(t))
		if part.day == c.day.number {
			change -= n
		}
		left -= n
		if part.next == 0 {
			break
		}
	}
	return change
}

// undoRequest takes the request of a reservation out of the window and the day.
// It stands with the oldest part.
func (c *call) undoRequest(s *scope, r *reservation) {
	r = c.sh.open.oldest(r)
	c.sh.refund(s, c.ms, r.stamp, 1, 0)
	if r.day == c.day.number && s.dayRequests != math.MaxUint32 {
		s.dayRequests--
	}
}

// lapse ends a reservation that nobody settled within a window after its
// deadline: what it reserved stays charged.
func (m *Memory) lapse(sh *shard, slot uint32) {
	r := sh.open.at(slot)
	if r.id == 0 || r.id == partMark || r.deadline == 0 || sh.last/1e6 < r.deadline+windowMS {
		return
	}
	c := call{m: m, sh: sh}
	c.read()
	c.attach(r)
	c.settle(slot, sh.open.reserved(r), false)
}

// eachOpen calls visit for every reservation of the shard.
func (sh *shard) eachOpen(visit func(*reservation)) {
	for slot := range sh.open.length {
		if r := sh.open.at(slot); r.id != 0 && r.id != partMark {
			visit(r)
		}
	}
}

// holds tells whether a reservation is charged to a scope.
func (sh *shard) holds(r *reservation, s *scope) bool {
	return sh.at(r.key-1) == s || r.model != 0 && sh.at(r.model-1) == s
}
