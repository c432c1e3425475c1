package limits

import "time"

// DateOf returns the civil date that t shows in its own zone, in days since 1970.
func DateOf(t time.Time) int64 {
	year, month, date := t.Date()
	return time.Date(year, month, date, 0, 0, 0, 0, time.UTC).Unix() / 86400
}

// DayStart returns the first instant that shows this date, or a later one, in the
// zone: in zones that change to summer time at midnight a day starts at one
// o'clock, and where the date line was moved whole dates are missing.
func DayStart(day int64, zone *time.Location) time.Time {
	date := time.Unix(day*86400, 0).UTC()
	start := time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, zone)
	begin, end := start.ZoneBounds()
	switch {
	case DateOf(start) < day: // midnight is skipped: the day starts with the change
		start = end
	case begin.IsZero():
	case DateOf(begin.Add(-1).In(zone)) >= day: // midnight comes twice: the first one
		_, offset := begin.Add(-1).In(zone).Zone()
		start = time.Unix(day*86400-int64(offset), 0)
	case DateOf(begin) >= day:
		start = begin
	}
	return start.In(zone)
}
