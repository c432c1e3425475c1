package sqlitestore

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/cputime"
	"github.com/penstockhq/penstock/ledger"
)

// BenchmarkAppend measures commits of some charges.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 12, 256} {
		b.Run(fmt.Sprintf("entries=%d", size), func(b *testing.B) {
			store, err := Open(b.Context(), b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			batch := make([]ledger.Entry, size)
			var sequence int64
			before := cputime.Used()
			for b.Loop() {
				for i := range batch {
					sequence++
					batch[i] = ledger.Entry{
						Sequence: sequence, At: time.Now(), Kind: ledger.KindSettle, Account: "owner4711", KeyID: "0123456789", Model: "tiny",
						RequestID: "0123456789abcdef", Hold: ledger.HoldID(1<<40 + sequence), Amount: 50, Balance: 1 << 40,
						Quantity: ledger.Quantity{InputTokens: 100, OutputTokens: 200, Duration: 3 * time.Millisecond}, PriceVersion: 1,
					}
				}
				if err := store.Append(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cputime.Used()-before).Nanoseconds())/float64(b.N)/float64(size), "cpu-ns/entry")
		})
	}
}
