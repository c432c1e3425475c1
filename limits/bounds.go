package limits

import "fmt"

// Range is what one limit may be set to. A zero end is open.
type Range struct {
	// The smallest value. Default: 0.
	Min int64 `json:"min"`

	// The largest value, at least min.
	Max int64 `json:"max"`
}

// Bounds are the ranges of the limits of a whole key, by rule. A limit with an upper
// end cannot be switched off. Rows of one model are free: those of the key bind too.
type Bounds map[Rule]Range

// Raise sets limits of 0 to the highest value that is allowed, where there is one.
func (b Bounds) Raise(row Row) Row {
	for _, rule := range Rules() {
		if value := row.Value(rule); *value == 0 {
			*value = b[rule].Max
		}
	}
	return row
}

// Check returns a *ValueError for each limit of a row that is out of bounds.
func (b Bounds) Check(row *Row) (wrong []*ValueError) {
	for _, rule := range Rules() {
		if reason := b[rule].refuses(*row.Value(rule)); reason != "" {
			wrong = append(wrong, &ValueError{rule.String(), reason})
		}
	}
	return wrong
}

// refuses returns why a limit may not have a value, empty if it may.
func (r Range) refuses(value int64) string {
	switch {
	case value == 0 && r.Max > 0:
		return fmt.Sprintf("0 means no limit, but the maximum here is %d", r.Max)
	case value != 0 && value < r.Min:
		return fmt.Sprintf("%d is below the minimum %d", value, r.Min)
	case r.Max > 0 && value > r.Max:
		return fmt.Sprintf("%d is above the maximum %d", value, r.Max)
	}
	return ""
}
