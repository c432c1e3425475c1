package redisstore

import (
	"encoding/binary"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

// Kinds of rules, as the scripts know them. That of a token rule is its kind plus its
// limits.TokenType, that of a rule of the model modelRule more.
const (
	ruleRPM      = 1
	ruleTPM      = 2
	ruleRPD      = 5
	ruleTPD      = 6
	ruleInFlight = 9
	modelRule    = 16
	ruleSize     = 20
)

// ruleList packs the limits of a call for the scripts.
type ruleList struct {
	packed []byte
	apart  int // directions to count apart: 1 and 2 of the key, 4 and 8 of the model
}

// rules packs the rows that apply to a call. Where limits are about to change, the
// script finds by its clock which of them bind.
func (s *Store) rules(request *limiter.Request) ruleList {
	list := ruleList{packed: make([]byte, 0, 4*ruleSize)}
	for i := range request.Rows {
		row := &request.Rows[i]
		if row.Model != "" && row.Model != request.Model {
			continue
		}
		model := row.Model != ""
		list.countApart(row.TokenType, model)
		if row.Previous == nil {
			list.minute(&row.Row, model, 0, 0)
			list.day(&row.Row, model, 0, 0)
			continue
		}
		list.countApart(row.Previous.TokenType, model)
		minute, day := limits.Effective(row.ChangedAt, s.zone)
		list.minute(row.Previous, model, 0, max(1, minute.UnixMilli()))
		list.minute(&row.Row, model, max(1, minute.UnixMilli()), 0)
		list.day(row.Previous, model, 0, max(1, day.UnixMilli()))
		list.day(&row.Row, model, max(1, day.UnixMilli()), 0)
	}
	return list
}

func (l *ruleList) countApart(kind limits.TokenType, model bool) {
	switch {
	case kind == limits.Total:
	case model:
		l.apart |= 4 * int(kind)
	default:
		l.apart |= int(kind)
	}
}

// minute adds the limits of a row that bind per minute, between two times in ms; 0: with
// no beginning, or no end.
func (l *ruleList) minute(row *limits.Row, model bool, from, until int64) {
	l.add(ruleRPM, row.RPM, model, from, until)
	l.add(ruleInFlight, row.MaxInFlight, model, from, until)
	l.add(ruleTPM+byte(row.TokenType), row.TPM, model, from, until)
}

// day adds those that bind per day.
func (l *ruleList) day(row *limits.Row, model bool, from, until int64) {
	l.add(ruleRPD, row.RPD, model, from, until)
	l.add(ruleTPD+byte(row.TokenType), row.TPD, model, from, until)
}

func (l *ruleList) add(kind byte, limit int64, model bool, from, until int64) {
	if limit <= 0 {
		return
	}
	if model {
		kind += modelRule
	}
	little := binary.LittleEndian
	l.packed = append(l.packed, kind)
	l.packed = little.AppendUint64(l.packed, uint64(min(limit, limits.Max)))[:len(l.packed)+7]
	l.packed = little.AppendUint64(l.packed, uint64(from))[:len(l.packed)+6]
	l.packed = little.AppendUint64(l.packed, uint64(until))[:len(l.packed)+6]
}
