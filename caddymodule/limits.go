package caddymodule

import (
	"fmt"
	"slices"
	"strings"
)

// Limits is one row of limits. A field that is 0 or absent sets no limit.
type Limits struct {
	// Requests admitted in any rolling 60 seconds. Default: no limit.
	RPM int64 `json:"rpm,omitempty"`

	// Tokens in any rolling 60 seconds. Default: no limit.
	TPM int64 `json:"tpm,omitempty"`

	// Requests admitted in a day, which begins at midnight in the app's zone.
	// Default: no limit.
	RPD int64 `json:"rpd,omitempty"`

	// Tokens in a day, which begins at midnight in the app's zone.
	// Default: no limit.
	TPD int64 `json:"tpd,omitempty"`

	// Calls running at the same time. Default: no limit.
	MaxInFlight int64 `json:"max_in_flight,omitempty"`

	// Which tokens the token limits count: `total`, `input` or `output`.
	// Default: `total`.
	TokenType string `json:"token_type,omitempty"`
}

// Bound is the range of values that an administrator may give to a limit of a
// key.
type Bound struct {
	// The smallest value. Default: 0.
	Min int64 `json:"min"`

	// The largest value, at least min.
	Max int64 `json:"max"`
}

// limitNames lists the limits that hold a number, in the order of Limits.
var limitNames = []string{"rpm", "tpm", "rpd", "tpd", "max_in_flight"}

// tokenTypes lists the values of Limits.TokenType.
var tokenTypes = []string{"total", "input", "output"}

// field returns the limit of a name, nil if there is none of that name.
func (l *Limits) field(name string) *int64 {
	switch name {
	case "rpm":
		return &l.RPM
	case "tpm":
		return &l.TPM
	case "rpd":
		return &l.RPD
	case "tpd":
		return &l.TPD
	case "max_in_flight":
		return &l.MaxInFlight
	}
	return nil
}

// validate checks the values, and that limits that are set lie within bounds.
func (l *Limits) validate(bounds map[string]Bound) error {
	for _, name := range limitNames {
		value := *l.field(name)
		if value < 0 {
			return fmt.Errorf("%s %d is negative", name, value)
		}
		bound, bounded := bounds[name]
		if bounded && value != 0 && (value < bound.Min || value > bound.Max) {
			return fmt.Errorf("%s %d is outside its bounds %d to %d", name, value, bound.Min, bound.Max)
		}
	}
	if l.TokenType != "" && !slices.Contains(tokenTypes, l.TokenType) {
		return fmt.Errorf("unknown token_type %q; known are %s", l.TokenType, strings.Join(tokenTypes, ", "))
	}
	return nil
}

// validate checks the bound of the limit of a name.
func (b Bound) validate(name string) error {
	switch {
	case !slices.Contains(limitNames, name):
		return fmt.Errorf("unknown limit %q; known are %s", name, strings.Join(limitNames, ", "))
	case b.Min < 0:
		return fmt.Errorf("%s: minimum %d is negative", name, b.Min)
	case b.Max < b.Min:
		return fmt.Errorf("%s: maximum %d is below the minimum %d", name, b.Max, b.Min)
	}
	return nil
}
