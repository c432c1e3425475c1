package limiter

import (
	"errors"
	"fmt"
	"time"

	"github.com/penstockhq/penstock/limits"
)

// MaxTokens is the most tokens that one call may name in one direction. It is
// far above what any model takes.
const MaxTokens = 1 << 30

// traits is what a call needs, found in one pass over its rows.
type traits struct {
	model bool // a row counts the model
	apart bool // a row counts, or counted, tokens of one direction
}

// check returns the traits of a request, or a *ValueError for what no call may
// ask.
func check(request *Request) (has traits, err error) {
	if request.Key == "" { // all callers without a key would share its limits
		return has, &ValueError{Field: "key", Reason: "is empty"}
	}
	if err := checkTokens(request.Tokens); err != nil {
		return has, err
	}
	if request.OutputStep < 0 || request.OutputStep > MaxTokens {
		return has, &ValueError{Field: "output_step", Reason: fmt.Sprintf("%d is not between 0 and %d", request.OutputStep, MaxTokens)}
	}
	for i := range request.Rows {
		row := &request.Rows[i]
		if err := checkRow(&row.Row); err != nil {
			return has, err
		}
		if row.Model != "" && row.Model == request.Model {
			has.model = true
		}
		if row.TokenType != limits.Total {
			has.apart = true
		}
		if row.Previous != nil {
			has.apart = true
			if err := checkRow(row.Previous); err != nil {
				return has, err
			}
		}
	}
	return has, nil
}

func checkTokens(tokens Tokens) error {
	if uint64(tokens.Input) > MaxTokens {
		return &ValueError{Field: "tokens.input", Reason: fmt.Sprintf("%d is not between 0 and %d", tokens.Input, MaxTokens)}
	}
	if uint64(tokens.Output) > MaxTokens {
		return &ValueError{Field: "tokens.output", Reason: fmt.Sprintf("%d is not between 0 and %d", tokens.Output, MaxTokens)}
	}
	return nil
}

// checkRow refuses what no counter can be held to. Limits that are larger than those
// that keys may have are harmless here.
func checkRow(row *limits.Row) error {
	if row.RPM|row.TPM|row.RPD|row.TPD|row.MaxInFlight >= 0 && row.TokenType <= limits.Output {
		return nil
	}
	var wrong *ValueError
	if errors.As(row.Check(), &wrong) {
		return &ValueError{Field: "limits." + wrong.Field, Reason: wrong.Reason}
	}
	return nil
}

// settledChange is an age at which every change has taken effect, even where the
// date line was moved: older ones need no look at the calendar.
const settledChange = 72 * time.Hour

// inForce returns the limits that hold at time now (ns), per minute and per day.
func (e *evaluation) inForce(row *limits.Binding, now int64) (minute, daily *limits.Row) {
	minute, daily = &row.Row, &row.Row
	if row.Previous == nil {
		return minute, daily
	}
	wall := e.day.at(now)
	if wall.Sub(row.ChangedAt) > settledChange {
		return minute, daily
	}
	minuteAt, dailyAt := limits.Effective(row.ChangedAt, e.m.calendar.zone)
	if wall.Before(minuteAt) {
		minute = row.Previous
	}
	if wall.Before(dailyAt) {
		daily = row.Previous
	}
	return minute, daily
}

// nextChange returns the first time after from (ns) at which limits change, 0 if
// none do.
func (e *evaluation) nextChange(rows []limits.Binding, from int64) int64 {
	next := int64(0)
	for i := range rows {
		if rows[i].Previous == nil || e.scope(&rows[i]) == nil || e.day.at(from).Sub(rows[i].ChangedAt) > settledChange {
			continue
		}
		minuteAt, dailyAt := limits.Effective(rows[i].ChangedAt, e.m.calendar.zone)
		for _, wall := range [2]time.Time{minuteAt, dailyAt} {
			if at := e.day.after(wall); at > from && (next == 0 || at < next) {
				next = at
			}
		}
	}
	return next
}
