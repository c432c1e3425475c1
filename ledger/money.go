package ledger

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/penstockhq/penstock/internal/clip"
)

// Micro is an amount of micro-credits. One credit is 1,000,000 micro-credits, and one
// minute of compute. Amounts are integers everywhere, so that nothing is lost by rounding.
type Micro int64

const (
	// Credit is one credit in micro-credits.
	Credit Micro = 1_000_000
	// MaxMicro is the maximum of every balance, hold and cost. It is 2^53-1, the largest
	// integer that numbers in JavaScript and Lua represent exactly.
	MaxMicro Micro = 1<<53 - 1
)

// fractionDigits is the number of decimal places of a credit.
const fractionDigits = 6

// ErrAmount is what ParseMicro's errors wrap: the text is malformed or exceeds MaxMicro.
var ErrAmount = errors.New("amount out of range")

// ParseMicro reads credits from a decimal string such as "12.5" or "-3": digits,
// at most six decimal places, no exponent, no grouping. The error wraps ErrAmount.
func ParseMicro(text string) (Micro, error) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, hasFraction := strings.Cut(digits, ".")
	if !allDigits(whole) || (hasFraction && !allDigits(fraction)) || len(fraction) > fractionDigits {
		return 0, fmt.Errorf("%w: %q is not a number of credits with at most %d decimal places",
			ErrAmount, clip.Text(text), fractionDigits)
	}
	number := strings.TrimLeft(whole, "0") + fraction + strings.Repeat("0", fractionDigits-len(fraction))
	value, err := strconv.ParseInt(number, 10, 64)
	if err != nil || Micro(value) > MaxMicro {
		return 0, fmt.Errorf("%w: %q exceeds %s credits", ErrAmount, clip.Text(text), FormatMicro(MaxMicro))
	}
	if negative {
		value = -value
	}
	return Micro(value), nil
}

// FormatMicro returns an amount as credits with exactly six decimal places, for
// example "12.345678".
func FormatMicro(amount Micro) string { return amount.String() }

// String returns the amount as credits with exactly six decimal places.
func (m Micro) String() string {
	sign, value := "", uint64(m)
	if m < 0 {
		sign, value = "-", -value
	}
	return fmt.Sprintf("%s%d.%06d", sign, value/uint64(Credit), value%uint64(Credit))
}

// allDigits reports whether text is one or more decimal digits.
func allDigits(text string) bool {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return text != ""
}

// wide is an unsigned 128-bit sum of products. Once set, overflow stays set.
type wide struct {
	high, low uint64
	overflow  bool
}

// add adds a x b x scale; negative factors count as zero.
func (w *wide) add(a, b, scale int64) {
	if a <= 0 || b <= 0 {
		return
	}
	high, low := bits.Mul64(uint64(a), uint64(b))
	overflow, high := bits.Mul64(high, uint64(scale))
	carryHigh, low := bits.Mul64(low, uint64(scale))
	high, carryOut := bits.Add64(high, carryHigh, 0)
	var carry uint64
	w.low, carry = bits.Add64(w.low, low, 0)
	w.high, carry = bits.Add64(w.high, high, carry)
	w.overflow = w.overflow || overflow != 0 || carryOut != 0 || carry != 0
}

// ceil returns the sum divided by divisor, rounded up, at most MaxMicro. exact is
// false if the quotient was larger than that.
func (w wide) ceil(divisor uint64) (quotient Micro, exact bool) {
	if w.overflow || w.high >= divisor {
		return MaxMicro, false
	}
	whole, rest := bits.Div64(w.high, w.low, divisor)
	if whole >= uint64(MaxMicro) && (whole > uint64(MaxMicro) || rest > 0) {
		return MaxMicro, false
	}
	if rest > 0 {
		whole++
	}
	return Micro(whole), true
}
