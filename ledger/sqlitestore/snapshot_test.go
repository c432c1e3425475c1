package sqlitestore

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
)

func TestADamagedSnapshotIsPassedOver(t *testing.T) {
	directory := t.TempDir()
	l, store, key := fill(t, directory, 3, ledger.WithSnapshotEvery(4))
	for range 40 {
		if err := call(t, l, key.ID); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "two snapshots are kept", func() bool {
		list, err := store.Snapshots(t.Context())
		return err == nil && len(list) == 2
	})
	want, _ := l.Account("acme")
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, damage := range []string{
		"UPDATE snapshot_part SET data = substr(data, 1, length(data) - 1) WHERE snapshot = (SELECT max(seq) FROM snapshot)",
		"UPDATE snapshot_part SET data = zeroblob(length(data)) WHERE snapshot = (SELECT min(seq) FROM snapshot)",
		"DELETE FROM snapshot_part",
	} {
		db, err := sql.Open("sqlite", dataSource(filepath.Join(directory, FileName), "rw"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(damage); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		l, _, err := reopen(t, directory)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := l.Account("acme"); got != want {
			t.Errorf("after %s: %+v, want %+v", damage, got, want)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPruningKeepsBalancesUsageAndViews(t *testing.T) {
	directory := t.TempDir()
	now, tomorrow := testClock()
	l, store, key := fill(t, directory, 0, ledger.WithClock(now))
	for range 5 {
		for range 3 {
			if err := call(t, l, key.ID); err != nil {
				t.Fatal(err)
			}
		}
		tomorrow()
	}
	views := func() string {
		var text strings.Builder
		for _, query := range []string{
			"SELECT account || ' ' || balance FROM balances",
			"SELECT day || ' ' || key_id || ' ' || requests || ' ' || output_tokens || ' ' || charged_micro FROM usage_by_day ORDER BY 1",
		} {
			rows, err := store.readers.QueryContext(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(&text, line)
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				t.Fatal(err)
			}
		}
		return text.String()
	}
	usage, err := l.Usage(t.Context(), ledger.UsageQuery{KeyID: key.ID})
	if err != nil || len(usage) != 5 {
		t.Fatalf("usage: %+v, %v", usage, err)
	}
	before, beforeViews := fmt.Sprintf("%+v", usage), views()
	if !strings.Contains(beforeViews, "acme 99.985000\n") || strings.Count(beforeViews, " 3 12 3000\n") != 5 {
		t.Errorf("views:\n%s", beforeViews)
	}
	through, err := l.Prune(t.Context(), time.Date(2026, 11, 4, 12, 0, 0, 0, time.UTC))
	if err != nil || through != 4+9 {
		t.Fatalf("prune: %d, %v", through, err)
	}
	if after := views(); after != beforeViews {
		t.Errorf("views after pruning:\n%s\nbefore:\n%s", after, beforeViews)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, store, err = reopen(t, directory)
	if err != nil {
		t.Fatal(err)
	}
	usage, err = l.Usage(t.Context(), ledger.UsageQuery{KeyID: key.ID})
	if after := fmt.Sprintf("%+v", usage); err != nil || after != before {
		t.Errorf("usage after pruning: %s, %v\nbefore: %s", after, err, before)
	}
	if result, err := l.TopUp(t.Context(), "acme", 100*ledger.Credit, "first"); err != nil || !result.Replayed {
		t.Errorf("top-up of a pruned day repeated: %+v, %v", result, err)
	}
	if report, err := ledger.Verify(t.Context(), store); err != nil || report.First != 14 {
		t.Errorf("verify: %+v, %v", report, err)
	}
	var lines strings.Builder
	if last, err := l.Export(t.Context(), &lines, 0, time.Time{}); err != nil || last != l.Stats().Sequence || strings.Count(lines.String(), "\n") != 7 {
		t.Errorf("export up to %d, %v:\n%s", last, err, lines.String())
	}
}

// block is more than one part of a snapshot.
var block = bytes.Repeat([]byte("x"), partSize+1)

// TestSnapshotsDoNotTakeEachOthersParts writes two snapshots at once, as a prune and
// a background snapshot do.
func TestSnapshotsDoNotTakeEachOthersParts(t *testing.T) {
	store, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	second := make(chan error, 1)
	save := func(sequence int64, baseline bool, encode func(io.Writer) error) error {
		return store.SaveSnapshot(t.Context(), ledger.Snapshot{Sequence: sequence, Baseline: baseline, Encode: encode})
	}
	err = save(1, true, func(w io.Writer) error {
		if _, err := w.Write(block); err != nil {
			return err
		}
		go func() {
			second <- save(2, false, func(w io.Writer) error { _, err := w.Write(block); return err })
		}()
		select {
		case err := <-second:
			second <- err
		case <-time.After(100 * time.Millisecond): // it waits for its turn
		}
		_, err := w.Write(block)
		return err
	})
	if err := errors.Join(err, <-second); err != nil {
		t.Fatal(err)
	}
	for sequence, blocks := range map[int64]int64{1: 2, 2: 1} {
		err := store.ReadSnapshot(t.Context(), sequence, func(r io.Reader) error {
			n, err := io.Copy(io.Discard, r)
			if want := blocks * int64(len(block)); err == nil && n != want {
				t.Errorf("snapshot %d has %d bytes, want %d", sequence, n, want)
			}
			return err
		})
		if err != nil {
			t.Errorf("snapshot %d: %v", sequence, err)
		}
	}
}
