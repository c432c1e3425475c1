package sqlitestore

import (
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// Of two conditions for the same end of a range, SQLite seeks by either: a page of the
// last hour of a large ledger was found by reading all that came before it.
func TestARangeOfEntriesHasOneStartAndOneEnd(t *testing.T) {
	store, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var entries []ledger.Entry
	for sequence := range int64(100) {
		entries = append(entries, ordinary(sequence+1))
	}
	if err := store.Append(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	at := func(sequence int64) time.Time { return entries[sequence-1].At }
	for _, test := range []struct {
		query       ledger.EntryQuery
		first, last int64
	}{
		{ledger.EntryQuery{}, 1, 100},
		{ledger.EntryQuery{After: 20, From: at(80)}, 80, 100},
		{ledger.EntryQuery{After: 90, From: at(80), KeyID: "0123456789"}, 91, 100},
		{ledger.EntryQuery{After: 5, From: at(3), Before: at(50)}, 6, 49},
	} {
		test.query.Limit = 1000
		conditions, arguments, err := store.where(t.Context(), test.query)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(conditions, "seq > ? AND seq <= ?") || strings.Count(conditions, "seq") != 2 || arguments[0] != test.first-1 {
			t.Errorf("%+v: %s with %v", test.query, conditions, arguments)
		}
		found, err := store.FindEntries(t.Context(), test.query)
		if err != nil || len(found) == 0 || found[0].Sequence != test.first || found[len(found)-1].Sequence != test.last {
			t.Errorf("%+v: %d entries, %v", test.query, len(found), err)
		}
	}
}
