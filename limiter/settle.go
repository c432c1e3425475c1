package limiter

import (
	"math"

	"github.com/penstockhq/penstock/limits"
)

// find locks the shard of a handle and prepares the call that it names. On an
// error nothing is locked.
func (e *evaluation) find(handle Handle) (slot uint32, err error) {
	if !e.m.issued(handle) {
		return 0, ErrForged
	}
	e.sh = &e.m.shards[handle.Slot>>32]
	slot = uint32(handle.Slot)
	e.sh.mu.Lock()
	r := e.sh.open.at(slot)
	if r.id != handle.ID {
		e.sh.mu.Unlock()
		return 0, ErrResolved
	}
	e.read()
	e.attach(r)
	return slot, nil
}

// attach takes the scopes of a reservation.
func (e *evaluation) attach(r *reservation) {
	e.key = e.sh.at(r.key - 1)
	if r.model != 0 {
		e.model = e.sh.at(r.model - 1)
	}
	e.freshen()
}

// extend raises a reservation.
func (e *evaluation) extend(slot uint32, tokens Tokens, rows []limits.Binding, decision *Decision) error {
	r := e.sh.open.at(slot)
	reserved := e.sh.open.reserved(r)
	e.want = Tokens{
		Input:  max(0, tokens.Input-reserved.Input),
		Output: max(0, tokens.Output-reserved.Output),
	}
	e.prepare(rows)
	if e.want != (Tokens{}) {
		if !e.fits(rows, decision) {
			e.refuse(rows, &decision.Refusal)
			e.headroom(rows, decision)
			return nil
		}
		if e.full() {
			*decision = Decision{}
			return ErrFull
		}
		e.charge()
		e.addPart(slot)
	} else {
		e.headroom(rows, decision)
	}
	decision.Admitted = true
	return nil
}

// addPart records what an extension charged. The newest part keeps the place of
// the reservation, as the handle names it.
func (e *evaluation) addPart(slot uint32) {
	r := e.sh.open.at(slot)
	if r.stamp == e.stamp && r.day == e.day.number {
		r.input += uint32(e.want.Input)
		r.output += uint32(e.want.Output)
		return
	}
	older := e.sh.open.take()
	part := e.sh.open.at(older)
	*part = *r
	part.id = partMark
	r.next = older + 1
	r.stamp, r.day = e.stamp, e.day.number
	r.input, r.output = uint32(e.want.Input), uint32(e.want.Output)
}

// settle ends a reservation with the tokens that were used. With undo the
// request is taken back too.
func (e *evaluation) settle(slot uint32, actual Tokens, undo bool) {
	r := e.sh.open.at(slot)
	reserved := r.tokens()
	if r.next != 0 {
		reserved = e.sh.open.reserved(r)
	}
	total := e.dayChange(r, limits.Total, reserved, actual)
	input := e.dayChange(r, limits.Input, reserved, actual)
	output := e.dayChange(r, limits.Output, reserved, actual)
	for s := e.key; ; s = e.model {
		e.settleScope(s, r, reserved, actual)
		s.addDay(total, input, output)
		if undo {
			e.undoRequest(s, r)
		}
		s.inFlight--
		if s == e.model || e.model == nil {
			break
		}
	}
	e.sh.open.releaseAll(slot)
}

// settleScope corrects the windows of a scope and its sub-counters.
func (e *evaluation) settleScope(s *scope, r *reservation, reserved, actual Tokens) {
	e.settleWindow(s, r, limits.Total, reserved.Of(limits.Total), actual.Of(limits.Total))
	for slot := s.sub(); slot != 0; {
		sub := e.sh.at(slot - 1)
		t := limits.TokenType(sub.hash)
		e.settleWindow(sub, r, t, reserved.Of(t), actual.Of(t))
		slot = sub.sub()
	}
}

// settleWindow corrects the window of a scope for tokens of one type.
func (e *evaluation) settleWindow(s *scope, r *reservation, t limits.TokenType, reserved, actual int64) {
	switch {
	case e.m.strict:
		s.addLive(-reserved)
		e.sh.add(s, e.stamp, 0, actual)
	case actual > reserved:
		e.sh.add(s, e.stamp, 0, actual-reserved)
	default:
		left := reserved - actual
		for part := r; left > 0; part = e.sh.open.at(part.next - 1) {
			n := min(left, part.tokens().Of(t))
			e.sh.refund(s, e.ms, part.stamp, 0, n)
			left -= n
			if part.next == 0 {
				break
			}
		}
	}
}

// dayChange returns by how much tokens of type t change today's counter: excess
// goes to today, refunds only to the day of the reservation.
func (e *evaluation) dayChange(r *reservation, t limits.TokenType, reserved, actual Tokens) int64 {
	left := reserved.Of(t) - actual.Of(t)
	if left <= 0 || r.next == 0 && r.day == e.day.number {
		return -left
	}
	change := int64(0)
	for part := r; left > 0; part = e.sh.open.at(part.next - 1) {
		n := min(left, part.tokens().Of(t))
		if part.day == e.day.number {
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
func (e *evaluation) undoRequest(s *scope, r *reservation) {
	r = e.sh.open.oldest(r)
	e.sh.refund(s, e.ms, r.stamp, 1, 0)
	if r.day == e.day.number && s.dayRequests != math.MaxUint32 {
		s.dayRequests--
	}
}

// lapse ends a reservation that was not settled within a window after its deadline. What
// it reserved stays charged.
func (m *Memory) lapse(sh *shard, slot uint32) {
	r := sh.open.at(slot)
	if r.id == 0 || r.id == partMark || r.deadline == 0 || floorMS(sh.last) < r.deadline+windowMS {
		return
	}
	e := evaluation{m: m, sh: sh}
	e.read()
	e.attach(r)
	e.settle(slot, sh.open.reserved(r), false)
}

// eachOpen calls visit for every reservation of the shard.
func (sh *shard) eachOpen(visit func(*reservation)) {
	for slot := range sh.open.length {
		if r := sh.open.at(slot); r.id != 0 && r.id != partMark {
			visit(r)
		}
	}
}

// holds reports whether a reservation is charged to a scope.
func (sh *shard) holds(r *reservation, s *scope) bool {
	return sh.at(r.key-1) == s || r.model != 0 && sh.at(r.model-1) == s
}
