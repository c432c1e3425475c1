package ledger_test

import (
	"sync"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// BenchmarkStart measures opening a ledger of a million entries with a snapshot
// and the tail that usually comes after it.
func BenchmarkStart(b *testing.B) {
	directory := b.TempDir()
	const entries = 1_000_000
	func() {
		store, err := sqlitestore.Open(b.Context(), directory)
		if err != nil {
			b.Fatal(err)
		}
		l, err := ledger.Open(b.Context(), store)
		if err != nil {
			b.Fatal(err)
		}
		importKeys(b, l, 10_000)
		keys, _, err := l.ListKeys(ledger.KeyQuery{Limit: 1000})
		if err != nil {
			b.Fatal(err)
		}
		for _, key := range keys {
			if _, err := l.TopUp(b.Context(), key.Owner, 1e6*ledger.Credit, "for "+key.ID); err != nil {
				b.Fatal(err)
			}
		}
		var calls sync.WaitGroup
		for caller := range 256 {
			calls.Go(func() {
				for i := caller; l.Stats().Sequence < entries; i++ {
					if err := callOnce(b.Context(), l, keys[i%len(keys)].ID); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		calls.Wait()
		// A process that dies leaves no snapshot of its end: close only the store.
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
		_ = l.Close(b.Context())
	}()
	b.ResetTimer()
	for b.Loop() {
		store, err := sqlitestore.Open(b.Context(), directory)
		if err != nil {
			b.Fatal(err)
		}
		l, err := ledger.Open(b.Context(), store)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if stats := l.Stats(); stats.Sequence < entries {
			b.Fatalf("%+v", stats)
		}
		_ = store.Close() // dies again, so that the next start finds the same tail
		_ = l.Close(b.Context())
		b.StartTimer()
	}
}
