package runtime

import (
	"context"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/forecast"
)

// recalled is how many of the latest entries a start looks at. The forecast gives the
// last 177 calls of a model half the weight.
const recalled = 1000

// recall teaches a forecast how long the latest calls in a ledger took. Without it every
// restart would set aside as much for a call as for one of a model that is not known.
func recall(ctx context.Context, l *ledger.Ledger, known *forecast.Forecast) error {
	head, err := l.Head(ctx)
	if err != nil {
		return err
	}
	entries, err := l.Entries(ctx, head.Sequence-recalled, recalled)
	if err != nil {
		return err
	}
	for i := range entries {
		// A charge for something else than time says nothing about how long it took.
		if e := &entries[i]; e.Kind == ledger.KindSettle && e.Outcome == ledger.OutcomeOK && e.Quantity.Duration > 0 {
			known.Learn(&forecast.Demand{Model: e.Model}, &ledger.Quantity{}, e.Quantity.Duration, false)
		}
	}
	return nil
}
