package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Limiter sets how calls are counted towards limits. Like a time zone, a change
// takes effect when the process is restarted.
type Limiter struct {
	// Whether a call keeps all tokens that it reserved until it ends, and counts what
	// it used in the minute of its end. Then `tpm` also bounds the tokens that are
	// produced in any minute, and not only those that are admitted, but long calls
	// occupy their tokens for as long as they run. Default: false.
	Strict bool `json:"strict,omitempty"`

	// How many scopes are counted at the same time: keys, and keys' uses of a model.
	// Further ones share a counter, and are limited together. Default: `4194304`,
	// which take up to half a GiB.
	MaxScopes int `json:"max_scopes,omitempty"`

	// How many entries of 8 bytes the log of a scope has, a power of two from 64 to
	// 32768. A busy scope merges neighbours, which then leave the minute late, by up
	// to 2/n of it. Default: `1024`, or 117 ms.
	LogEntries int `json:"log_entries,omitempty"`
}

const (
	minLogEntries = 64
	maxLogEntries = 32768
)

// limiterOptions lists the words of the block limiter, for error messages.
var limiterOptions = []string{"strict", "max_scopes", "log_entries"}

// validate checks the values. A nil Limiter is valid.
func (l *Limiter) validate() error {
	switch {
	case l == nil:
		return nil
	case l.MaxScopes < 0:
		return fmt.Errorf("max_scopes: %d is negative", l.MaxScopes)
	case l.LogEntries == 0:
		return nil
	case l.LogEntries < minLogEntries || l.LogEntries > maxLogEntries || l.LogEntries&(l.LogEntries-1) != 0:
		return fmt.Errorf("log_entries: %d is not a power of two from %d to %d", l.LogEntries, minLogEntries, maxLogEntries)
	}
	return nil
}

// unmarshal reads the block.
func (l *Limiter) unmarshal(d *caddyfile.Dispenser) error {
	if err := noArgument(d); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("limiter: %s is already specified", option)
		}
		seen[option] = true
		var err error
		switch option {
		case "strict":
			l.Strict, err = true, noArgument(d)
		case "max_scopes":
			err = oneWhole(d, &l.MaxScopes)
		case "log_entries":
			err = oneWhole(d, &l.LogEntries)
		default:
			err = unknown(d, "option of limiter", limiterOptions)
		}
		if err != nil {
			return err
		}
		if err := l.validate(); err != nil {
			return d.Errf("limiter: %w", err)
		}
	}
	return nil
}
