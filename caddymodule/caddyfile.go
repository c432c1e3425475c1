package caddymodule

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/penstockhq/penstock/internal/edits"
)

// oneArgument reads the only argument of an option. The option may be given once.
func oneArgument(d *caddyfile.Dispenser, value *string) error {
	option := d.Val()
	if *value != "" {
		return d.Errf("%s is already specified", option)
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	*value = d.Val()
	if *value == "" {
		return d.Errf("%s: the value is empty", option)
	}
	if d.CountRemainingArgs() > 0 {
		d.NextArg()
		return d.Errf("%s: unexpected argument %q", option, d.Val())
	}
	return nil
}

// oneOf reads the only argument of an option, which is one of some words.
func oneOf(d *caddyfile.Dispenser, value *string, words ...string) error {
	option := d.Val()
	if err := oneArgument(d, value); err != nil {
		return err
	}
	if !slices.Contains(words, *value) {
		return d.Errf("%s: unknown value %s", option, suggest(*value, words))
	}
	return nil
}

// noArgument checks that an option has no argument.
func noArgument(d *caddyfile.Dispenser) error {
	option := d.Val()
	if d.NextArg() {
		return d.Errf("%s: unexpected argument %q", option, d.Val())
	}
	return nil
}

// wholeNumber parses the current token.
func wholeNumber(d *caddyfile.Dispenser, option string, minimum int64, value *int64) error {
	return parseWhole(d, option, d.Val(), minimum, value)
}

// parseWhole parses a whole number that is not below the minimum.
func parseWhole(d *caddyfile.Dispenser, option, text string, minimum int64, value *int64) error {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < minimum {
		return d.Errf("%s: %q is not a whole number of at least %d", option, text, minimum)
	}
	*value = number
	return nil
}

// oneWhole reads the only argument of an option, a whole number of at least 1.
func oneWhole(d *caddyfile.Dispenser, value *int) error {
	option := d.Val()
	var text string
	if err := oneArgument(d, &text); err != nil {
		return err
	}
	var number int64
	if err := parseWhole(d, option, text, 1, &number); err != nil {
		return err
	}
	if number > math.MaxInt32 {
		return d.Errf("%s: %d is too large", option, number)
	}
	*value = int(number)
	return nil
}

// oneDuration reads the only argument of an option, a duration above zero.
func oneDuration(d *caddyfile.Dispenser, value *caddy.Duration) error {
	option := d.Val()
	var text string
	if err := oneArgument(d, &text); err != nil {
		return err
	}
	return parseDuration(d, option, text, value)
}

// parseDuration parses a duration above zero.
func parseDuration(d *caddyfile.Dispenser, option, text string, value *caddy.Duration) error {
	duration, err := caddy.ParseDuration(text)
	if err != nil || duration <= 0 {
		return d.Errf("%s: %q is not a duration above zero, for example 120s", option, text)
	}
	*value = caddy.Duration(duration)
	return nil
}

// oneSize reads the only argument of an option, a size in bytes.
func oneSize(d *caddyfile.Dispenser, value *int64) error {
	option := d.Val()
	var text string
	if err := oneArgument(d, &text); err != nil {
		return err
	}
	size, err := humanize.ParseBytes(text)
	if err != nil || size == 0 || size > 1<<40 {
		return d.Errf("%s: %q is not a size from 1 byte to 1 TiB, for example 10MiB", option, text)
	}
	*value = int64(size)
	return nil
}

// unknown returns the error for a word that is not one of those that are known.
func unknown(d *caddyfile.Dispenser, what string, known []string) error {
	return d.Errf("unknown %s: %s", what, suggest(d.Val(), known))
}

// suggest returns a word that is not known, quoted, with the one that may have been meant
// and all that are known.
func suggest(word string, known []string) string {
	text := strconv.Quote(word)
	if near := nearest(word, known); near != "" {
		text += ", did you mean " + near + "?"
	}
	return text + "; known: " + strings.Join(known, ", ")
}

// nearest returns the known word that differs from another in the fewest letters, empty if
// even that is a different word, as short ones soon are.
func nearest(word string, known []string) string {
	if len(word) < 4 {
		return ""
	}
	best, least := "", 1+len(word)/3
	for _, candidate := range known {
		if differ := edits.Distance(word, candidate); differ < least {
			best, least = candidate, differ
		}
	}
	return best
}
