package rest

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// Amount reads credits: a decimal string or a whole number, as JSON numbers
// with a fraction pass through floats on their way.
func (f *Fields) Amount(name string) (amount ledger.Micro, present bool) {
	return f.amount(name, false)
}

// SignedAmount reads credits that may be below zero.
func (f *Fields) SignedAmount(name string) (amount ledger.Micro, present bool) {
	return f.amount(name, true)
}

func (f *Fields) amount(name string, signed bool) (amount ledger.Micro, present bool) {
	raw, present := f.value(name)
	if !present {
		return 0, false
	}
	text := string(raw)
	if strings.HasPrefix(text, `"`) {
		// What split accepted is valid JSON.
		_ = json.Unmarshal(raw, &text)
	} else if strings.ContainsAny(text, ".eE") {
		f.Refuse(name, "%s is not a decimal string or a whole number of credits", Shown(raw))
		return 0, false
	}
	amount, err := ledger.ParseMicro(text)
	if err != nil || !signed && strings.HasPrefix(text, "-") {
		f.Refuse(name, "%s is not an amount of credits such as 12.5, with up to 6 decimal places and up to %s",
			Shown(text), ledger.MaxMicro)
		return 0, false
	}
	return amount, true
}

// NumberAmount reads credits from a JSON number as Python writes it, such as
// 0.1 or 1e-05, rounded to the nearest micro-credit.
func (f *Fields) NumberAmount(name string) (amount ledger.Micro, present bool) {
	raw, present := f.value(name)
	if !present {
		return 0, false
	}
	text := string(raw)
	_, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	number := new(big.Rat)
	// The exact form of a number with a long exponent would fill the memory.
	ok := text[0] != '"' && len(text) <= 40 && len(exponent) <= 3
	if ok {
		_, ok = number.SetString(text)
	}
	if !ok || number.Sign() < 0 {
		f.Refuse(name, "%s is not an amount of credits", Shown(raw))
		return 0, false
	}
	number.Mul(number, big.NewRat(int64(ledger.Credit), 1))
	rounded, err := strconv.ParseInt(number.FloatString(0), 10, 64)
	if err != nil || ledger.Micro(rounded) > ledger.MaxMicro {
		f.Refuse(name, "%s exceeds %s credits", Shown(raw), ledger.MaxMicro)
		return 0, false
	}
	return ledger.Micro(rounded), true
}

// AmountNumber writes an amount as a JSON number that is exact in decimal.
func AmountNumber(amount ledger.Micro) json.Number {
	text := strings.TrimRight(amount.String(), "0")
	return json.Number(strings.TrimSuffix(text, "."))
}

// Moment reads a time in one of the given forms. It must lie in the future.
func (f *Fields) Moment(name string, now time.Time, forms ...string) (moment time.Time, present bool) {
	if !f.Has(name) || f.IsNull(name) {
		f.take(name)
		return time.Time{}, false
	}
	text := f.Text(name, maxWord)
	moment, err := parseMoment(text, forms...)
	if err != nil {
		f.Refuse(name, "%v", err)
		return time.Time{}, false
	}
	if !moment.After(now) {
		f.Refuse(name, "%s is in the past", moment.Format(time.RFC3339))
		return time.Time{}, false
	}
	return moment, true
}

func parseMoment(text string, forms ...string) (time.Time, error) {
	for _, form := range forms {
		// A zone can move the last day of 9999 into a year that RFC 3339 cannot write.
		if moment, err := time.Parse(form, text); err == nil && moment.UTC().Year() <= 9999 {
			return moment.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is not a time such as 2030-01-31T12:00:00Z", Shown(text))
}

// FormatMoment writes a time with milliseconds, nil for none.
func FormatMoment(moment time.Time) *string {
	if moment.IsZero() {
		return nil
	}
	text := moment.UTC().Format("2006-01-02T15:04:05.000Z")
	return &text
}

// Milliseconds rounds a wait up, so that a caller who waits that long has waited
// long enough.
func Milliseconds(wait time.Duration) int64 { return (wait + time.Millisecond - 1).Milliseconds() }
