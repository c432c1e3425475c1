package admin

import (
	"net/url"
	"slices"
	"strconv"
	"time"
)

// query reads the parameters of a list, strictly like a native body.
type query struct {
	values  url.Values
	problem *problem
}

func readQuery(c *call) (*query, error) {
	values, err := url.ParseQuery(c.request.URL.RawQuery)
	if err != nil {
		return nil, &problem{status: 400, code: "invalid_query", message: "the query is not well escaped"}
	}
	return &query{values: values}, nil
}

func (q *query) refuse(name, format string, values ...any) {
	if q.problem == nil {
		q.problem = invalid(name, format, values...)
	}
}

// text returns a parameter, empty if it is absent.
func (q *query) text(name string) string {
	values := q.values[name]
	delete(q.values, name)
	if len(values) == 0 {
		return ""
	}
	if len(values) > 1 {
		q.refuse(name, "given twice")
	}
	return values[0]
}

// word returns a parameter that must be one of a few or absent.
func (q *query) word(name string, allowed ...string) string {
	text := q.text(name)
	if text != "" && !slices.Contains(allowed, text) {
		q.refuse(name, "%s is not one of %v", shown(text), allowed)
	}
	return text
}

// integer returns a whole number from low to high, or absent.
func (q *query) integer(name string, absent, low, high int64) int64 {
	text := q.text(name)
	if text == "" {
		return absent
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < low || number > high {
		q.refuse(name, "%s is not a whole number from %d to %d", shown(text), low, high)
	}
	return number
}

// day returns the start of a UTC day that is given as YYYY-MM-DD, or the zero time.
func (q *query) day(name string) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		q.refuse(name, "%s is not a day such as 2026-01-31", shown(text))
	}
	return day
}

// done refuses parameters that nobody asked for and returns the first problem.
func (q *query) done() error {
	for name := range q.values {
		q.refuse(clip(name), "unknown parameter")
	}
	if q.problem == nil {
		return nil // not the nil *problem, which would be an error that is not nil
	}
	return q.problem
}
