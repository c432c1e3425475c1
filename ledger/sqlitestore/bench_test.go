package sqlitestore

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/cputime"
	"github.com/penstockhq/penstock/ledger"
)

// recordOf returns an entry that lists as many calls that run.
func recordOf(calls int) ledger.Entry {
	columns := map[string][]any{}
	for call := range calls {
		columns["holds"] = append(columns["holds"], 100_000+call)
		columns["keys"] = append(columns["keys"], "0123456789")
		columns["models"] = append(columns["models"], "tiny")
		columns["requests"] = append(columns["requests"], "req_0123456789abcdef01234567")
	}
	detail, _ := json.Marshal(columns)
	return ledger.Entry{Kind: ledger.KindAdmission, Hold: 1 << 40, Detail: detail}
}

// BenchmarkAppend measures commits of some charges, and of charges with an entry that
// lists calls that run.
func BenchmarkAppend(b *testing.B) {
	for _, commit := range []struct{ size, calls int }{{1, 0}, {12, 0}, {12, 12}, {256, 0}} {
		size := commit.size
		b.Run(fmt.Sprintf("entries=%d/calls=%d", size, commit.calls), func(b *testing.B) {
			store, err := Open(b.Context(), b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			batch := make([]ledger.Entry, size, size+1)
			if commit.calls > 0 {
				batch = append(batch, recordOf(commit.calls))
			}
			var sequence int64
			before := cputime.Used()
			for b.Loop() {
				for i := range size {
					sequence++
					batch[i] = ledger.Entry{
						Sequence: sequence, At: time.Now(), Kind: ledger.KindSettle, Account: "owner4711", KeyID: "0123456789", Model: "tiny",
						RequestID: "req_0123456789abcdef01234567", Hold: ledger.HoldID(1<<40 + sequence), Amount: 50, Balance: 1 << 40,
						Quantity: ledger.Quantity{InputTokens: 100, OutputTokens: 200, Duration: 3 * time.Millisecond}, PriceVersion: 1,
					}
				}
				if commit.calls > 0 {
					sequence++
					batch[size].Sequence, batch[size].At = sequence, time.Now()
				}
				if err := store.Append(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cputime.Used()-before).Nanoseconds())/float64(b.N)/float64(size), "cpu-ns/entry")
		})
	}
}
