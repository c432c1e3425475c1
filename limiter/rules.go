package limiter

import "time"

// MaxTokens is the most tokens that one call may name in one direction. It is
// far above what any model takes.
const MaxTokens = 1 << 30

// traits is what a call needs, found in one pass over its rows.
type traits struct {
	model bool // a row counts the model
	apart bool // a row counts, or counted, tokens of one direction
}

// inspect returns the traits of a request, or a *ValueError for what no call may
// ask.
func inspect(request *Request) (has traits, err error) {
	if err := checkTokens(request.Tokens); err != nil {
		return has, err
	}
	for i := range request.Rows {
		row := &request.Rows[i]
		l := &row.Limits
		if l.RPM|l.TPM|l.RPD|l.TPD|l.MaxInFlight < 0 || l.TokenType > TokensOutput {
			return has, checkLimits(l)
		}
		if row.Model != "" && row.Model == request.Model {
			has.model = true
		}
		if l.TokenType != TokensTotal {
			has.apart = true
		}
		if row.Previous != nil {
			has.apart = true
			if err := checkLimits(row.Previous); err != nil {
				return has, err
			}
		}
	}
	return has, nil
}

func checkTokens(tokens Tokens) error {
	if uint64(tokens.Input) > MaxTokens {
		return &ValueError{"tokens.input", tokens.Input, "must be between 0 and 1073741824"}
	}
	if uint64(tokens.Output) > MaxTokens {
		return &ValueError{"tokens.output", tokens.Output, "must be between 0 and 1073741824"}
	}
	return nil
}

func checkLimits(l *Limits) error {
	if l.RPM|l.TPM|l.RPD|l.TPD|l.MaxInFlight >= 0 && l.TokenType <= TokensOutput {
		return nil
	}
	if l.TokenType > TokensOutput {
		return &ValueError{"limits.token_type", int64(l.TokenType), "must be 0 (total), 1 (input) or 2 (output)"}
	}
	for _, field := range []struct {
		rule  Rule
		value int64
	}{{RuleRPM, l.RPM}, {RuleTPM, l.TPM}, {RuleRPD, l.RPD}, {RuleTPD, l.TPD}} {
		if field.value < 0 {
			return &ValueError{"limits." + field.rule.String(), field.value, "must not be negative"}
		}
	}
	return &ValueError{"limits.max_in_flight", l.MaxInFlight, "must not be negative"}
}

// changes returns when (wall time) a changed row takes effect: for minute limits
// the next full minute, for day limits the next midnight.
func (c *call) changes(row *Row) (minute, daily time.Time) {
	zone := c.m.calendar.zone
	return row.ChangedAt.Truncate(time.Minute).Add(time.Minute),
		dayStart(dateOf(row.ChangedAt.In(zone))+1, zone)
}

// settledChange is an age at which every change has taken effect, even where the
// date line was moved: older ones need no look at the calendar.
const settledChange = 72 * time.Hour

// inForce returns the limits that hold at time now (ns), per minute and per day.
func (c *call) inForce(row *Row, now int64) (minute, daily *Limits) {
	minute, daily = &row.Limits, &row.Limits
	if row.Previous == nil {
		return minute, daily
	}
	wall := c.day.at(now)
	if wall.Sub(row.ChangedAt) > settledChange {
		return minute, daily
	}
	minuteAt, dailyAt := c.changes(row)
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
func (c *call) nextChange(rows []Row, from int64) int64 {
	next := int64(0)
	for i := range rows {
		if rows[i].Previous == nil || c.scope(&rows[i]) == nil || c.day.at(from).Sub(rows[i].ChangedAt) > settledChange {
			continue
		}
		minuteAt, dailyAt := c.changes(&rows[i])
		for _, wall := range [2]time.Time{minuteAt, dailyAt} {
			if at := c.day.after(wall); at > from && (next == 0 || at < next) {
				next = at
			}
		}
	}
	return next
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
