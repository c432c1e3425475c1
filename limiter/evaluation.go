package limiter

import "github.com/penstockhq/penstock/limits"

// evaluation is one decision under the lock of a shard.
type evaluation struct {
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

// read reads the clock, once per decision: with two readings a call could be refused by
// the first and given a wait of 0 by the second.
func (e *evaluation) read() {
	e.now = e.m.now(e.sh)
	e.ms = floorMS(e.now)
	e.stamp = ceilMS(e.now)
	e.day = e.m.calendar.today(e.now)
}

// freshen drops what has left the windows and the day of the scopes.
func (e *evaluation) freshen() {
	e.freshenScope(e.key)
	if e.model != nil {
		e.freshenScope(e.model)
	}
}

func (e *evaluation) freshenScope(s *scope) {
	if e.ms >= s.expiry() || s.sub() != 0 {
		e.sh.expireAll(s, e.ms)
	}
	s.roll(e.day.number)
}

// prepare makes the sub-counters that the rows ask for.
func (e *evaluation) prepare(rows []limits.Binding) {
	for i := range rows {
		row := &rows[i]
		if row.TokenType != limits.Total {
			e.countApart(row, row.TokenType)
		}
		if row.Previous != nil && row.Previous.TokenType != limits.Total {
			e.countApart(row, row.Previous.TokenType)
		}
	}
}

// countApart makes the sub-counter that a row needs.
func (e *evaluation) countApart(row *limits.Binding, t limits.TokenType) {
	if s := e.scope(row); s != nil && e.sh.findSub(s, t) == nil {
		e.m.addSub(e.sh, s, t)
	}
}

// scope returns the scope of a row, nil if the row does not apply to the call.
func (e *evaluation) scope(row *limits.Binding) *scope {
	switch row.Model {
	case "":
		return e.key
	case e.name:
		return e.model
	default:
		return nil
	}
}

// binding returns the scope of a row and the limits that bind it at a time (ns), per
// minute and per day. The scope is nil if the row does not apply to the call.
func (e *evaluation) binding(row *limits.Binding, at int64) (s *scope, minute, daily *limits.Row) {
	if s = e.scope(row); s == nil {
		return nil, nil, nil
	}
	minute, daily = &row.Row, &row.Row
	if row.Previous != nil {
		minute, daily = e.inForce(row, at)
	}
	return s, minute, daily
}

// counter returns the scope that counts tokens of type t. Where none was asked
// for so far it is the one that counts them all.
func (e *evaluation) counter(s *scope, t limits.TokenType) *scope {
	if t == limits.Total {
		return s
	}
	if sub := e.sh.findSub(s, t); sub != nil {
		return sub
	}
	return s
}
