package ledger_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// sizeOf returns how many of something a benchmark of a large ledger has: as a variable
// of the environment says, or few.
func sizeOf(b *testing.B, variable string, usual int) int {
	b.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatalf("%s: %v", variable, err)
	}
	return n
}

// BenchmarkLarge measures what a large ledger costs: its start after a kill, with a
// snapshot and the longest tail that usually comes after it, memory for each key, and
// pages of keys and entries. PENSTOCK_ENTRIES and PENSTOCK_KEYS say how large it is.
func BenchmarkLarge(b *testing.B) {
	entries, keys := sizeOf(b, "PENSTOCK_ENTRIES", 100_000), sizeOf(b, "PENSTOCK_KEYS", 10_000)
	directory := b.TempDir()
	some, last := largeLedger(b, directory, entries, keys)
	b.Run("start", func(b *testing.B) {
		for b.Loop() {
			l, store := reopen(b, directory)
			b.StopTimer()
			if stats := l.Stats(); stats.Sequence < int64(entries) || stats.Keys < keys {
				b.Fatalf("%+v", stats)
			}
			die(b, l, store)
			b.StartTimer()
		}
	})
	b.Run("memory", func(b *testing.B) {
		for b.Loop() {
			before := resident(b)
			l, store := reopen(b, directory)
			b.ReportMetric(float64(resident(b)-before)/float64(keys), "rss-B/key")
			die(b, l, store)
		}
	})
	l, store := reopen(b, directory)
	defer die(b, l, store)
	for name, query := range map[string]ledger.KeyQuery{
		"first": {}, "last": {After: some[len(some)-1].ID}, "name": {Name: "no such name"}, "owner": {Owner: some[0].Owner, After: some[len(some)/2].ID},
	} {
		b.Run("keys/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := l.ListKeys(query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, query := range map[string]ledger.EntryQuery{
		"first": {}, "last": {After: last.Sequence - 100}, "day": {From: last.At.Add(-time.Hour)},
		"key": {KeyID: last.KeyID}, "request": {RequestID: last.RequestID}, "kind": {Kinds: []ledger.Kind{ledger.KindTopUp}, After: last.Sequence / 2},
	} {
		query.Limit = 100
		b.Run("entries/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := l.FindEntries(b.Context(), query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// largeLedger makes a ledger whose last 50,000 entries no snapshot has. It returns some
// of its keys and its last charge.
func largeLedger(b *testing.B, directory string, entries, keys int) (some []ledger.Key, last ledger.Entry) {
	b.Helper()
	l, _ := reopen(b, directory)
	importKeys(b, l, keys)
	var err error
	if some, _, err = l.ListKeys(ledger.KeyQuery{Limit: 1000}); err != nil {
		b.Fatal(err)
	}
	for _, key := range some {
		if _, err := l.TopUp(b.Context(), key.Owner, 1e6*ledger.Credit, "for "+key.ID); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	tail := min(entries, ledger.DefaultSnapshotEvery)
	charge(b, directory, some, entries-tail, 30)
	l, _ = reopen(b, directory)
	if err := l.Close(b.Context()); err != nil { // with a snapshot
		b.Fatal(err)
	}
	last = charge(b, directory, some, tail, 0)
	return some, last
}

// charge appends charges of an epoch to a log, spread over some days and then today.
func charge(b *testing.B, directory string, keys []ledger.Key, count, days int) (last ledger.Entry) {
	b.Helper()
	l, store := reopen(b, directory)
	balances := map[string]ledger.Micro{}
	for _, key := range keys {
		account, _ := l.Account(key.Owner)
		balances[key.Owner] = account.Available
	}
	stats := l.Stats()
	start, err := store.Entries(b.Context(), stats.Sequence-1, 1)
	if err != nil || len(start) != 1 {
		b.Fatalf("%d entries, %v", len(start), err)
	}
	step := time.Duration(days) * 24 * time.Hour / time.Duration(max(count, 1))
	batch := make([]ledger.Entry, 0, 4096)
	for i := range count {
		key := &keys[i%len(keys)]
		balances[key.Owner]--
		last = ledger.Entry{
			Sequence: stats.Sequence + int64(i) + 1, At: start[0].At.Add(time.Duration(i) * step),
			Kind: ledger.KindSettle, Account: key.Owner, KeyID: key.ID, Model: "tiny", RequestID: fmt.Sprintf("req_%024x", i),
			Hold: start[0].Hold + ledger.HoldID(i) + 1, Quantity: benchCall, Amount: 1, Balance: balances[key.Owner],
		}
		if batch = append(batch, last); len(batch) == cap(batch) || i == count-1 {
			if err := store.Append(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	die(b, l, store)
	return last
}

// reopen opens a ledger, and die ends it as a kill does: without a snapshot.
func reopen(b *testing.B, directory string) (*ledger.Ledger, *sqlitestore.Store) {
	b.Helper()
	store, err := sqlitestore.Open(b.Context(), directory)
	if err != nil {
		b.Fatal(err)
	}
	l, err := ledger.Open(b.Context(), store)
	if err != nil {
		b.Fatal(err)
	}
	return l, store
}

func die(b *testing.B, l *ledger.Ledger, store *sqlitestore.Store) {
	b.Helper()
	_ = store.Close()
	_ = l.Close(b.Context())
}

// resident returns how much memory of the process is in use, in bytes.
func resident(b *testing.B) int64 {
	b.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("the system does not tell")
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kibibytes, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return kibibytes << 10
}
