package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

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

// Free is the price of something that costs nothing, for fields in which 0 has another
// meaning.
const Free Micro = -1

// Price is what a model costs. With the zero Price calls cost nothing. The cost of a call
// is the sum of all parts, rounded up once to a whole micro-credit.
type Price struct {
	Minute Micro `json:"minute"` // per minute of compute
	Input  Micro `json:"input"`  // per million input tokens
	// CachedInput is the price of a million input tokens that the upstream had cached.
	// Zero means the price of Input, so that a field that was forgotten does not make
	// tokens free; Free means that they cost nothing. It must not exceed Input, because a
	// hold is made before it is known what is cached.
	CachedInput Micro `json:"cached_input"`
	Output      Micro `json:"output"`  // per million output tokens
	Request     Micro `json:"request"` // per call
}

// defaultPrice is the price of models that have none of their own: one credit a
// minute.
var defaultPrice = Price{Minute: Credit}

// The common denominator of the time price (microseconds in a minute) and the
// token prices (tokens in a million).
const (
	microsecondsPerMinute = 60_000_000
	minutesOverMillion    = 60 // microsecondsPerMinute / tokens in a million
)

// Cost returns what a quantity costs, rounded up to a whole micro-credit. Time counts in
// whole microseconds. If the cost exceeds MaxMicro, Cost returns MaxMicro and exact is
// false.
func (p Price) Cost(quantity Quantity) (cost Micro, exact bool) {
	cached := min(max(quantity.CachedTokens, 0), max(quantity.InputTokens, 0))
	var sum wide
	sum.add(quantity.Duration.Microseconds(), int64(p.Minute), 1)
	sum.add(quantity.InputTokens-cached, int64(p.Input), minutesOverMillion)
	sum.add(cached, int64(p.cachedInput()), minutesOverMillion)
	sum.add(quantity.OutputTokens, int64(p.Output), minutesOverMillion)
	sum.add(int64(p.Request), microsecondsPerMinute, 1)
	return sum.ceil(microsecondsPerMinute)
}

// cachedInput resolves the two special values of CachedInput.
func (p Price) cachedInput() Micro {
	switch p.CachedInput {
	case 0:
		return p.Input
	case Free:
		return 0
	default:
		return p.CachedInput
	}
}

// validate returns an *InvalidError if a part of the price is out of range.
func (p Price) validate() error {
	for _, part := range []struct {
		name  string
		value Micro
	}{{"minute", p.Minute}, {"input", p.Input}, {"cached_input", max(p.CachedInput, 0)}, {"output", p.Output}, {"request", p.Request}} {
		if part.value < 0 || part.value > MaxMicro {
			return &InvalidError{Field: "price." + part.name, Reason: fmt.Sprintf("%d micro-credits is not between 0 and %d", part.value, MaxMicro)}
		}
	}
	if p.CachedInput < Free || p.CachedInput > p.Input {
		return &InvalidError{Field: "price.cached_input", Reason: "must not exceed the input price"}
	}
	return nil
}

// validate returns an *InvalidError if a part of the quantity is negative.
func (q Quantity) validate() error {
	if q.InputTokens < 0 || q.CachedTokens < 0 || q.OutputTokens < 0 || q.Duration < 0 {
		return &InvalidError{Field: "quantity", Reason: "must not be negative"}
	}
	return nil
}

// day returns the UTC day of a moment as the number of days since 1970-01-01. Usage rows
// count by it.
func day(microseconds int64) int32 {
	const perDay = int64(24 * time.Hour / time.Microsecond)
	whole := microseconds / perDay
	if microseconds%perDay < 0 {
		whole--
	}
	return int32(whole)
}

// SetPrice sets the price of a model; the model "" stands for all models without a price
// of their own. Calls that run keep the price that they started with. Setting the same
// price again changes nothing. SetPrice returns when the price is durable. Errors are
// ErrInvalid, also for a model whose name would be one too many, and ErrUnavailable.
func (l *Ledger) SetPrice(ctx context.Context, model string, price Price) error {
	if err := price.validate(); err != nil {
		return err
	}
	if len(model) > maxModelName {
		return &InvalidError{Field: "model", Reason: "name is longer than 256 bytes"}
	}
	return l.write(ctx, func() ([]*Entry, error) {
		number, err := l.core.models.index(model)
		if err != nil {
			return nil, err
		}
		if version, ok := l.core.priceOf[number]; ok && l.core.prices[version-1].price == price {
			return nil, nil
		}
		return []*Entry{l.priceEntry(model, price)}, nil
	})
}

func (l *Ledger) priceEntry(model string, price Price) *Entry {
	detail, _ := json.Marshal(price) // five integers
	return &Entry{Kind: KindPrice, Model: model, PriceVersion: int64(len(l.core.prices)) + 1, Detail: detail}
}

// Price returns what a model costs now.
func (l *Ledger) Price(model string) Price {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, price := l.core.price(l.core.models.number[model])
	return price
}

// PricedModels returns the models that have a price of their own, in the order in
// which they first got one.
func (l *Ledger) PricedModels() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var models []string
	seen := map[uint32]bool{0: true}
	for _, p := range l.core.prices {
		if !seen[p.model] {
			seen[p.model] = true
			models = append(models, l.core.models.text[p.model])
		}
	}
	return models
}
