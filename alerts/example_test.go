package alerts_test

import (
	"context"
	"fmt"
	"log"

	"github.com/penstockhq/penstock/alerts"
)

// budget is a source that knows one level.
type budget struct{ spent, limit int64 }

func (b budget) Levels(_ context.Context, keyID, _ string) ([]alerts.Level, error) {
	return []alerts.Level{{Type: alerts.Budget, Account: "team", KeyID: keyID, Used: b.spent, Limit: b.limit}}, nil
}

// A monitor asks its source for the levels of a key after its calls and reports each
// threshold that they cross.
func ExampleNew() {
	sink := alerts.SinkFunc(func(alert alerts.Alert) {
		fmt.Printf("%s of key %s: %d%% of %d\n", alert.Type, alert.KeyID, alert.Threshold, alert.Limit)
	})
	monitor, err := alerts.New(budget{spent: 85, limit: 100}, alerts.WithThresholds(50, 80, 100), alerts.WithSink(sink))
	if err != nil {
		log.Fatal(err)
	}
	monitor.Observe("k1", "tiny")
	monitor.Observe("k1", "tiny")
	monitor.Close() // looks at what is pending once more
	// Output: budget of key k1: 80% of 100
}
