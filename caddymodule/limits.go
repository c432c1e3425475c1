package caddymodule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstockhq/penstock/limits"
)

// Limits is one row of limits: `rpm` and `tpm`, requests and tokens in any rolling 60
// seconds; `rpd` and `tpd`, requests and tokens in a day, which begins at midnight in
// the app's zone; `max_in_flight`, calls running at the same time; and `token_type`,
// which tokens are counted: `total` (the default), `input` or `output`. A limit that is
// 0 or absent is no limit.
type Limits limits.Row

// MarshalJSON implements json.Marshaler. It leaves out what is not set, so that an
// adapted configuration holds what the Caddyfile says and no more.
func (l *Limits) MarshalJSON() ([]byte, error) {
	var members []string
	for _, rule := range limits.Rules() {
		if value := *l.row().Value(rule); value != 0 {
			members = append(members, fmt.Sprintf("%q:%d", rule, value))
		}
	}
	if l.TokenType != limits.Total {
		members = append(members, fmt.Sprintf("%q:%q", "token_type", l.TokenType))
	}
	return []byte("{" + strings.Join(members, ",") + "}"), nil
}

func (l *Limits) row() *limits.Row { return (*limits.Row)(l) }

// validate checks the values, and that limits that are set lie within bounds.
func (l *Limits) validate(bounds map[string]limits.Range) error {
	if l.Model != "" {
		return fmt.Errorf("model %q: these limits are for the whole key", l.Model)
	}
	if err := l.row().Check(); err != nil {
		return err
	}
	within := limitBounds(bounds)
	set := within.Raise(*l.row()) // what is not set is bound when a key is made
	if wrong := within.Check(&set); len(wrong) > 0 {
		return wrong[0]
	}
	return nil
}

// limitBounds returns the bounds by rule. Names of no rule are left to validateBound.
func limitBounds(named map[string]limits.Range) limits.Bounds {
	bounds := make(limits.Bounds, len(named))
	for name, to := range named {
		if rule, ok := limits.ParseRule(name); ok {
			bounds[rule] = to
		}
	}
	return bounds
}

// validateBound checks the bound of the limit of a name.
func validateBound(name string, to limits.Range) error {
	switch {
	case !slices.Contains(limits.Names(), name):
		return fmt.Errorf("unknown limit %q; known: %s", name, strings.Join(limits.Names(), ", "))
	case to.Min < 0:
		return fmt.Errorf("%s: minimum %d is negative", name, to.Min)
	case to.Max < to.Min:
		return fmt.Errorf("%s: maximum %d is below the minimum %d", name, to.Max, to.Min)
	}
	return nil
}
