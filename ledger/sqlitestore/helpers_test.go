package sqlitestore

import (
	"context"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// fill opens a ledger, makes a key with credit and some calls, and returns it.
func fill(t *testing.T, path string, calls int, opts ...ledger.Option) (*ledger.Ledger, *Store, ledger.Key) {
	t.Helper()
	store, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), store, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	key, _, err := l.CreateKey(t.Context(), ledger.NewKey{Name: "k", Owner: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.TopUp(t.Context(), "acme", 100*ledger.Credit, "first"); err != nil {
		t.Fatal(err)
	}
	for range calls {
		if err := call(t, l, key.ID); err != nil {
			t.Fatal(err)
		}
	}
	return l, store, key
}

func call(t *testing.T, l *ledger.Ledger, key string) error {
	t.Helper()
	hold, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: key, Model: "m", Worst: ledger.Quantity{Duration: time.Second}})
	if err != nil {
		return err
	}
	_, err = l.Settle(t.Context(), hold.ID, ledger.Settlement{Quantity: ledger.Quantity{InputTokens: 3, OutputTokens: 4, Duration: 60 * time.Millisecond}})
	return err
}

func reopen(t *testing.T, directory string) (*ledger.Ledger, *Store, error) {
	t.Helper()
	store, err := Open(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), store)
	if err == nil {
		t.Cleanup(func() { _ = l.Close(context.Background()) })
	}
	return l, store, err
}
