package ledger_test

import (
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestARunningCallKeepsThePriceItStartedWith(t *testing.T) {
	directory := t.TempDir()
	l := open(t, directory)
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 100*ledger.Credit)
	price := ledger.Price{Input: 3 * ledger.Credit, CachedInput: ledger.Free, Output: 9 * ledger.Credit, Request: 1000}
	for range 2 { // the same price again is no new version
		if err := l.SetPrice(t.Context(), "large", price); err != nil {
			t.Fatal(err)
		}
	}
	id := hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "large", Worst: ledger.Quantity{InputTokens: 1000, OutputTokens: 1000}})
	before := l.Stats().Sequence
	if err := l.SetPrice(t.Context(), "large", ledger.Price{Minute: 50 * ledger.Credit}); err != nil {
		t.Fatal(err)
	}
	if now := l.Stats().Sequence; now != before+1 {
		t.Errorf("a changed price makes %d entries", now-before)
	}
	charge, err := l.Settle(t.Context(), id, ledger.Settlement{Quantity: ledger.Quantity{InputTokens: 1000, CachedTokens: 400, OutputTokens: 10, Duration: time.Hour}})
	if want := ledger.Micro(600*3 + 10*9 + 1000); err != nil || charge.Amount != want {
		t.Errorf("charge %+v, %v, want %d", charge, err, want)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l = open(t, directory)
	if err := l.SetPrice(t.Context(), "", ledger.Price{Request: 7}); err != nil {
		t.Fatal(err)
	}
	if got := l.Price("large"); got.Minute != 50*ledger.Credit {
		t.Errorf("price after a restart: %+v", got)
	}
	if got := l.Price("other"); got != (ledger.Price{Request: 7}) {
		t.Errorf("default price: %+v", got)
	}
	if models := l.PricedModels(); len(models) != 1 || models[0] != "large" {
		t.Errorf("priced models: %v", models)
	}
}
