package limits

import "time"

// Change is a change of rows that does not act at once. The zero value is none.
type Change struct {
	Previous []Row     // what the rows were; nil: there is no change
	At       time.Time // when they were changed
}

// settled is an age at which every change has taken effect, even where the date line
// was moved: older ones need no look at the calendar.
const settled = 72 * time.Hour

// Effective returns when limits that were changed at a moment take effect: those per
// minute, and of calls in flight, with the next full minute, those per day with the
// next midnight in the zone.
func Effective(changed time.Time, zone *time.Location) (minute, day time.Time) {
	return changed.Truncate(time.Minute).Add(time.Minute), DayStart(DateOf(changed.In(zone))+1, zone)
}

// PreviousBinds reports which limits from before a change still bind at now.
func PreviousBinds(changed, now time.Time, zone *time.Location) (minute, day bool) {
	if now.Sub(changed) > settled {
		return false, false
	}
	minuteAt, dayAt := Effective(changed, zone)
	return now.Before(minuteAt), now.Before(dayAt)
}

// InForce returns the rows that bind at now, where rows is what they will be when a
// change has taken effect. Between the next minute and the next midnight that is some
// of both. The result shares no memory with either.
func InForce(rows []Row, change Change, now time.Time, zone *time.Location) []Row {
	current := append([]Row{}, rows...)
	if change.Previous == nil {
		return current
	}
	minute, day := PreviousBinds(change.At, now, zone)
	switch {
	case minute: // no day ends before its last minute
		return append([]Row{}, change.Previous...)
	case !day:
		return current
	}
	for i := range current {
		current[i].RPD, current[i].TPD = 0, 0
	}
	for i := range change.Previous {
		before := &change.Previous[i]
		row := Find(current, before)
		if row == nil {
			current = append(current, Row{Model: before.Model, TokenType: before.TokenType})
			row = &current[len(current)-1]
		}
		row.RPD, row.TPD = before.RPD, before.TPD
	}
	return current
}

// Binding is a row as it applies to a call.
type Binding struct {
	Row
	// Previous, if not nil, is what the row was before ChangedAt, and binds until
	// the change takes effect. Nil: the row binds now.
	Previous  *Row
	ChangedAt time.Time
}

// Applying appends to bindings the rows that apply to a call of a model. A row that a
// change takes away binds until the change takes effect.
func Applying(bindings []Binding, rows []Row, change Change, model string) []Binding {
	for i := range rows {
		if rows[i].Model != "" && rows[i].Model != model {
			continue
		}
		binding := Binding{Row: rows[i]}
		if change.Previous != nil {
			binding.Previous, binding.ChangedAt = Find(change.Previous, &rows[i]), change.At
			if binding.Previous == nil {
				binding.Previous = new(Row) // it set no limit
			}
		}
		bindings = append(bindings, binding)
	}
	for i := range change.Previous {
		before := &change.Previous[i]
		if before.Model != "" && before.Model != model || Find(rows, before) != nil {
			continue
		}
		bindings = append(bindings, Binding{Row: Row{Model: before.Model}, Previous: before, ChangedAt: change.At})
	}
	return bindings
}
