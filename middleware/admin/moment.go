package admin

import (
	"fmt"
	"time"
)

// sdkTimeForms are the datetime forms that the aiXplain SDK sends beside
// RFC 3339: Python's isoformat of a time without a zone, and a bare date. They
// mean UTC. Fractions of any length are accepted with each clock time.
var sdkTimeForms = [...]string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"}

// moment reads a time in one of the given forms that must lie in the future.
func (f *fields) moment(name string, now time.Time, forms ...string) (moment time.Time, present bool) {
	if !f.has(name) || f.isNull(name) {
		f.take(name)
		return time.Time{}, false
	}
	text := f.text(name, maxName)
	moment, err := parseMoment(text, forms...)
	if err != nil {
		f.refuse(name, "%v", err)
		return time.Time{}, false
	}
	if !moment.After(now) {
		f.refuse(name, "%s is in the past", moment.Format(time.RFC3339))
		return time.Time{}, false
	}
	return moment, true
}

func parseMoment(text string, forms ...string) (time.Time, error) {
	for _, form := range forms {
		// A zone can push the last day of 9999 into a year that RFC 3339 can not write.
		if moment, err := time.Parse(form, text); err == nil && moment.UTC().Year() <= 9999 {
			return moment.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is not a time such as 2030-01-31T12:00:00Z", shown(text))
}

// formatMoment writes a time with milliseconds, nil for none.
func formatMoment(moment time.Time) *string {
	if moment.IsZero() {
		return nil
	}
	text := moment.UTC().Format("2006-01-02T15:04:05.000Z")
	return &text
}
