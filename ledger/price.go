package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

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
