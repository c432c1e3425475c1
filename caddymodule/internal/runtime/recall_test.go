package runtime

import (
	"context"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/middleware/forecast"
)

func TestAStartRecallsHowLongCallsTook(t *testing.T) {
	ctx := context.Background()
	store, err := sqlitestore.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(ctx, store)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(ctx)
	if err := recall(ctx, l, forecast.New()); err != nil {
		t.Fatalf("an empty ledger: %v", err)
	}

	key, _, err := l.CreateKey(ctx, ledger.NewKey{Name: "first", Owner: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.TopUp(ctx, "acme", 1000*ledger.Credit, "invoice"); err != nil {
		t.Fatal(err)
	}
	call := func(model string, took time.Duration, outcome ledger.Outcome) {
		t.Helper()
		hold, err := l.Hold(ctx, ledger.HoldRequest{
			KeyID: key.ID, Model: model, Deadline: time.Now().Add(time.Minute),
			Worst: ledger.Quantity{Duration: time.Minute},
		})
		if err != nil {
			t.Fatal(err)
		}
		end := ledger.Settlement{Quantity: ledger.Quantity{Duration: took}, Outcome: outcome}
		if _, err := l.Settle(ctx, hold.ID, end); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		call("quick", 3*time.Second, ledger.OutcomeOK)
		call("cut", 20*time.Millisecond, ledger.OutcomeClientGone)
	}

	known := forecast.New()
	if err := recall(ctx, l, known); err != nil {
		t.Fatal(err)
	}
	likely := func(model string) time.Duration {
		return known.Likely(&forecast.Demand{Model: model, TimeLimit: time.Minute}).Duration
	}
	if got := likely("quick"); got < 3*time.Second || got > 3400*time.Millisecond {
		t.Errorf("a call like those of before is expected to take %s", got)
	}
	if got := likely("cut"); got != 10*time.Second {
		t.Errorf("calls that their callers cut let %s be expected", got)
	}
}
