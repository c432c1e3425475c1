package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/penstockhq/penstock/internal/clip"
)

// Query reads the parameters of a list, strictly like a native body.
type Query struct {
	values  url.Values
	problem *Problem
}

func readQuery(r *http.Request) (*Query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &Problem{Status: http.StatusBadRequest, Code: "invalid_query", Message: "the query has an invalid escape"}
	}
	return &Query{values: values}, nil
}

// Refuse says that a parameter cannot be accepted. The first problem counts.
func (q *Query) Refuse(name, format string, values ...any) {
	if q.problem == nil {
		q.problem = Invalid(name, format, values...)
	}
}

// Text returns a parameter, empty if it is absent.
func (q *Query) Text(name string) string {
	values := q.values[name]
	delete(q.values, name)
	if len(values) == 0 {
		return ""
	}
	if len(values) > 1 {
		q.Refuse(name, "given twice")
	}
	return values[0]
}

// Word returns a parameter that must be one of a few or absent.
func (q *Query) Word(name string, allowed ...string) string {
	text := q.Text(name)
	if text != "" && !slices.Contains(allowed, text) {
		q.Refuse(name, "%s is not one of %v", Shown(text), allowed)
	}
	return text
}

// Integer returns a whole number from low to high, or absent.
func (q *Query) Integer(name string, absent, low, high int64) int64 {
	text := q.Text(name)
	if text == "" {
		return absent
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < low || number > high {
		q.Refuse(name, "%s is not a whole number from %d to %d", Shown(text), low, high)
	}
	return number
}

// Day returns the start of a UTC day that is given as YYYY-MM-DD, or the zero time.
func (q *Query) Day(name string) time.Time {
	text := q.Text(name)
	if text == "" {
		return time.Time{}
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		q.Refuse(name, "%s is not a day such as 2026-01-31", Shown(text))
	}
	return day
}

// Moment returns a time that is given in RFC 3339, or the start of a UTC day that is
// given as YYYY-MM-DD; the zero time if it is absent.
func (q *Query) Moment(name string) time.Time {
	text := q.Text(name)
	if text == "" {
		return time.Time{}
	}
	moment, err := parseMoment(text, time.RFC3339, time.DateOnly)
	if err != nil {
		q.Refuse(name, "%v", err)
	}
	return moment
}

// Done refuses parameters that the handler did not ask for and returns the first
// problem.
func (q *Query) Done() error {
	for name := range q.values {
		q.Refuse(clip.Text(name), "unknown parameter")
	}
	if q.problem == nil {
		return nil // a nil *Problem in an error would not be nil
	}
	return q.problem
}
