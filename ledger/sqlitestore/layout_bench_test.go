package sqlitestore

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/cputime"
	"github.com/penstockhq/penstock/ledger"
)

// A layout is a way to make the entries of a commit durable.
type layout interface {
	append(entries []ledger.Entry) error
}

// BenchmarkLayouts compares today's layout, a row for each entry, with two others: a row
// for each commit, which a view expands, and a log of bytes that feeds SQLite in the
// background. All three hash every entry. A round is one commit of each, so that noise
// meets all of them. TMPDIR says which disk is measured.
func BenchmarkLayouts(b *testing.B) {
	for _, size := range []int{1, 12, 256} {
		b.Run(fmt.Sprintf("entries=%d", size), func(b *testing.B) {
			layouts := []layout{openRowLayout(b), openBatchLayout(b), openLogLayout(b)}
			names := []string{"rows", "batch", "log"}
			used := make([]time.Duration, len(layouts))
			entries := make([]ledger.Entry, size)
			var sequence int64
			for b.Loop() {
				fillCharges(entries, sequence)
				sequence += int64(size)
				for i, l := range layouts {
					before := cputime.Used()
					if err := l.append(entries); err != nil {
						b.Fatal(err)
					}
					used[i] += cputime.Used() - before
				}
			}
			for i, name := range names {
				b.ReportMetric(float64(used[i].Nanoseconds())/float64(b.N)/1000, name+"-us/commit")
				b.ReportMetric(float64(used[i])/float64(used[0]), name+"/rows")
			}
		})
	}
}

// fillCharges makes ordinary charges that follow a sequence number.
func fillCharges(entries []ledger.Entry, sequence int64) {
	now := time.Now()
	for i := range entries {
		sequence++
		entries[i] = ledger.Entry{
			Sequence: sequence, At: now, Kind: ledger.KindSettle, Account: "owner4711", KeyID: "0123456789", Model: "tiny",
			RequestID: "req_0123456789abcdef01234567", Hold: ledger.HoldID(1<<40 + sequence), Amount: 50, Balance: 1 << 40,
			Quantity: ledger.Quantity{InputTokens: 100, OutputTokens: 200, Duration: 3 * time.Millisecond}, PriceVersion: 1,
		}
	}
}

// rowLayout is today's.
type rowLayout struct{ store *Store }

func openRowLayout(b *testing.B) *rowLayout {
	b.Helper()
	store, err := Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	return &rowLayout{store}
}

func (l *rowLayout) append(entries []ledger.Entry) error {
	return l.store.Append(context.Background(), entries)
}

// batchLayout has one row for each commit: its entries as JSON, which json_each expands
// in a view, and their hash.
type batchLayout struct {
	*writer
	statement driver.StmtExecContext
	row       row
	text      []byte
	sum       hash.Hash
	head      [sha256.Size]byte
}

func openBatchLayout(b *testing.B) *batchLayout {
	b.Helper()
	w, err := openWriter(b.Context(), dataSource(filepath.Join(b.TempDir(), FileName), "rwc",
		"journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(4000)"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = w.held.Close(); _ = w.db.Close() })
	for _, text := range []string{
		schema1, schema2, schema3, "CREATE TABLE batch (last INTEGER PRIMARY KEY, at INTEGER NOT NULL, entries TEXT NOT NULL, sha256 BLOB NOT NULL)",
		`CREATE VIEW unpacked AS SELECT value ->> 0 AS seq, value ->> 1 AS at, value ->> 2 AS kind, value ->> 3 AS account
			FROM batch, json_each(batch.entries)`,
	} {
		if err := w.exec(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.prepare(b.Context()); err != nil {
		b.Fatal(err)
	}
	l := &batchLayout{writer: w, sum: sha256.New()}
	if l.statement, err = w.compile(b.Context(), "INSERT INTO batch VALUES (?, ?, ?, ?)"); err != nil {
		b.Fatal(err)
	}
	return l
}

func (l *batchLayout) append(entries []ledger.Entry) error {
	l.text = append(l.text[:0], '[')
	for i := range entries {
		l.row.set(&entries[i])
		l.text = append(l.text, '[')
		for _, value := range l.row[:columnChecksum] {
			switch value := value.(type) {
			case nil:
				l.text = append(l.text, "null,"...)
			case int64:
				l.text = append(strconv.AppendInt(l.text, value, 10), ',')
			case string:
				l.text = append(append(append(l.text, '"'), value...), '"', ',')
			}
		}
		l.text[len(l.text)-1] = ']'
		l.text = append(l.text, ',')
	}
	l.text[len(l.text)-1] = ']'
	l.sum.Reset()
	l.sum.Write(l.head[:])
	l.sum.Write(l.text)
	l.sum.Sum(l.head[:0])
	last := &entries[len(entries)-1]
	values := []driver.NamedValue{{Ordinal: 1, Value: last.Sequence}, {Ordinal: 2, Value: last.At.UnixMicro()}, {Ordinal: 3, Value: string(l.text)}, {Ordinal: 4, Value: l.head[:]}}
	ctx := context.Background()
	if _, err := l.begin.ExecContext(ctx, nil); err != nil {
		return err
	}
	if _, err := l.statement.ExecContext(ctx, values); err != nil {
		return err
	}
	_, err := l.commit.ExecContext(ctx, nil)
	return err
}

// logLayout writes and syncs a log of bytes, and feeds rows to SQLite, without syncs,
// when there are enough of them.
type logLayout struct {
	file    *os.File
	feed    *Store
	waiting []ledger.Entry
	row     row
	bytes   []byte
	sum     hash.Hash
	head    [sha256.Size]byte
}

// fedAtOnce is how many entries the log layout gives to SQLite in one commit.
const fedAtOnce = 1024

func openLogLayout(b *testing.B) *logLayout {
	b.Helper()
	directory := b.TempDir()
	file, err := os.Create(filepath.Join(directory, "log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = file.Close() })
	l := &logLayout{file: file, feed: openRowLayout(b).store, sum: sha256.New()}
	if err := l.feed.writer.exec(b.Context(), "PRAGMA synchronous = OFF"); err != nil {
		b.Fatal(err)
	}
	return l
}

func (l *logLayout) append(entries []ledger.Entry) error {
	l.bytes = l.bytes[:0]
	for i := range entries {
		l.row.set(&entries[i])
		start := len(l.bytes)
		l.bytes = l.row.body(append(l.bytes, 0, 0, 0, 0, 0, 0, 0, 0))
		body := l.bytes[start+8:]
		binary.BigEndian.PutUint32(l.bytes[start:], uint32(len(body)))
		binary.BigEndian.PutUint32(l.bytes[start+4:], uint32(checksum(body)))
	}
	l.sum.Reset()
	l.sum.Write(l.head[:])
	l.sum.Write(l.bytes)
	l.sum.Sum(l.head[:0])
	l.bytes = append(l.bytes, l.head[:]...)
	if _, err := l.file.Write(l.bytes); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.waiting = append(l.waiting, entries...)
	if len(l.waiting) < fedAtOnce {
		return nil
	}
	err := l.feed.Append(context.Background(), l.waiting)
	l.waiting = l.waiting[:0]
	return err
}
