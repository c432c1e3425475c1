package sqlitestore

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

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
	for _, commit := range []struct{ charges, calls int }{{1, 0}, {12, 0}, {12, 12}, {256, 0}} {
		b.Run(fmt.Sprintf("entries=%d/calls=%d", commit.charges, commit.calls), func(b *testing.B) {
			c := openCommits(b, commit.charges, commit.calls)
			before := cputime.Used()
			for b.Loop() {
				c.commit()
			}
			b.ReportMetric(float64((cputime.Used()-before).Nanoseconds())/float64(b.N)/float64(commit.charges), "cpu-ns/entry")
		})
	}
}

// BenchmarkGrowth measures how many bytes a call costs in the file: alone in its commit
// or with others, and if it runs long enough to be recorded.
func BenchmarkGrowth(b *testing.B) {
	for _, commit := range []struct{ charges, calls int }{{1, 0}, {12, 0}, {12, 12}, {64, 0}} {
		b.Run(fmt.Sprintf("calls=%d/recorded=%d", commit.charges, commit.calls), func(b *testing.B) {
			const charges = 24_000
			for b.Loop() {
				c := openCommits(b, commit.charges, commit.calls)
				empty := c.size()
				for range charges / commit.charges {
					c.commit()
				}
				b.ReportMetric(float64(c.size()-empty)/charges, "bytes/call")
			}
		})
	}
}

// commits makes one commit like the other.
type commits struct {
	b        *testing.B
	store    *Store
	entries  []ledger.Entry
	charges  int
	sequence int64
}

func openCommits(b *testing.B, charges, calls int) *commits {
	b.Helper()
	store, err := Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	c := &commits{b: b, store: store, entries: make([]ledger.Entry, charges), charges: charges}
	if calls > 0 {
		c.entries = append(c.entries, recordOf(calls))
	}
	return c
}

func (c *commits) commit() {
	fillCharges(c.entries[:c.charges], c.sequence)
	c.sequence += int64(c.charges)
	for i := c.charges; i < len(c.entries); i++ {
		c.sequence++
		c.entries[i].Sequence, c.entries[i].At = c.sequence, c.entries[0].At
	}
	if err := c.store.Append(context.Background(), c.entries); err != nil {
		c.b.Fatal(err)
	}
}

// size returns the size of the file, once all of it has left SQLite's log.
func (c *commits) size() (bytes int64) {
	err := c.store.readers.QueryRowContext(c.b.Context(), "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").Scan(&bytes)
	if err != nil {
		c.b.Fatal(err)
	}
	return bytes
}
