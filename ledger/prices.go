package ledger

import (
	"context"
	"encoding/json"
)

// SetPrice sets the price of a model; the model "" stands for all that have none
// of their own. Calls that run keep the price they started with. The same price
// again changes nothing. It returns when the price is durable.
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
