package ledger_test

import (
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestUsageOfSeveralModelsAddsUpPerModel(t *testing.T) {
	l := open(t, t.TempDir())
	key, _ := member(t, l, ledger.NewKey{}, ledger.Credit)
	for _, model := range []string{"a", "a", "b", "a", "b", "c", "a"} {
		hold, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: model, Worst: ledger.Quantity{Duration: time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Settle(t.Context(), hold.ID, ledger.Settlement{Quantity: ledger.Quantity{OutputTokens: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := l.Usage(t.Context(), ledger.UsageQuery{Owner: "default"})
	if err != nil || len(rows) != 3 {
		t.Fatalf("usage: %+v, %v", rows, err)
	}
	for i, want := range []int64{4, 2, 1} {
		if rows[i].Requests != want || rows[i].OutputTokens != want {
			t.Errorf("row %d: %+v, want %d requests", i, rows[i], want)
		}
	}
}
