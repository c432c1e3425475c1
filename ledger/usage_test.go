package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
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

// plainStore hides that a store can find entries by itself.
type plainStore struct{ ledger.Store }

func TestEntriesAreFoundByWhatTheyAreAbout(t *testing.T) {
	for name, wrap := range map[string]func(ledger.Store) ledger.Store{
		"sqlite": func(store ledger.Store) ledger.Store { return store },
		"plain":  func(store ledger.Store) ledger.Store { return plainStore{store} },
	} {
		t.Run(name, func(t *testing.T) {
			store, err := sqlitestore.Open(t.Context(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			findEntries(t, wrap(store))
		})
	}
}

// findEntries asks a ledger over a new store for some of its entries.
func findEntries(t *testing.T, store ledger.Store) {
	clock := newClock()
	l, err := ledger.Open(t.Context(), store, ledger.WithClock(clock.now))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(t.Context())
	a, _ := member(t, l, ledger.NewKey{Owner: "a"}, ledger.Credit) // entries 2 to 4
	b, _ := member(t, l, ledger.NewKey{Owner: "b"}, ledger.Credit) // entries 5 to 7
	for i := range 5 {                                             // entries 8 to 17
		clock.add(time.Hour)
		for _, key := range []ledger.Key{a, b} {
			running := hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", RequestID: fmt.Sprint("request ", i, key.Owner)})
			if _, err := l.Settle(t.Context(), running, ledger.Settlement{Quantity: ledger.Quantity{InputTokens: 1}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	at := newClock().now()
	for name, test := range map[string]struct {
		query ledger.EntryQuery
		want  []int64
	}{
		"a request":        {ledger.EntryQuery{RequestID: "request 3b"}, []int64{15}},
		"no such request":  {ledger.EntryQuery{RequestID: "request 9b"}, nil},
		"a key":            {ledger.EntryQuery{KeyID: a.ID}, []int64{3, 8, 10, 12, 14, 16}},
		"a key's calls":    {ledger.EntryQuery{KeyID: a.ID, Kinds: []ledger.Kind{ledger.KindSettle, ledger.KindVoid}}, []int64{8, 10, 12, 14, 16}},
		"an account":       {ledger.EntryQuery{Account: "b", Before: at.Add(time.Hour)}, []int64{5, 6, 7}},
		"kinds":            {ledger.EntryQuery{Kinds: []ledger.Kind{ledger.KindTopUp, ledger.KindAccount}}, []int64{2, 4, 5, 7}},
		"a range of time":  {ledger.EntryQuery{From: at.Add(2 * time.Hour), Before: at.Add(4 * time.Hour)}, []int64{10, 11, 12, 13}},
		"a page":           {ledger.EntryQuery{KeyID: b.ID, Limit: 2}, []int64{6, 9}},
		"the page after":   {ledger.EntryQuery{KeyID: b.ID, Limit: 2, After: 9}, []int64{11, 13}},
		"after and from":   {ledger.EntryQuery{From: at.Add(time.Hour), After: 14, Account: "b"}, []int64{15, 17}},
		"before all":       {ledger.EntryQuery{Before: at.Add(-time.Hour)}, nil},
		"later than all":   {ledger.EntryQuery{From: at.Add(24 * time.Hour)}, nil},
		"everything there": {ledger.EntryQuery{KeyID: a.ID, Account: "a", From: at, Before: at.Add(9 * time.Hour), Kinds: []ledger.Kind{ledger.KindKey}}, []int64{3}},
	} {
		entries, err := l.FindEntries(t.Context(), test.query)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for i := range entries {
			got = append(got, entries[i].Sequence)
			if !test.query.Matches(&entries[i]) {
				t.Errorf("%s: entry %d does not match", name, entries[i].Sequence)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: entries %v, want %v", name, got, test.want)
		}
	}
}
