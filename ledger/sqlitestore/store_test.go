package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestUnusableFilesAreRefusedAndLeftAlone(t *testing.T) {
	make := func(content func(path string) error) func(*testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			path := filepath.Join(t.TempDir(), "x.db")
			if err := content(path); err != nil {
				t.Fatal(err)
			}
			return path
		}
	}
	sqlite := func(statements string) func(string) error {
		return func(path string) error {
			db, err := sql.Open("sqlite", dataSource(path, "rwc"))
			if err != nil {
				return err
			}
			_, err = db.Exec(statements)
			return errors.Join(err, db.Close())
		}
	}
	for _, test := range []struct {
		name string
		path func(*testing.T) string
		want error
		text string
	}{
		{"another format", make(func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("not a database ", 100)), 0o644)
		}), ErrForeign, "not a ledger"},
		{"another program's database", make(sqlite("CREATE TABLE users (name TEXT)")), ErrForeign, "another program"},
		{"a newer schema", make(sqlite(fmt.Sprintf("CREATE TABLE entry (x); PRAGMA application_id = %d; PRAGMA user_version = 99", applicationID))), ErrNewer, "version 99"},
		{"a schema that never was", make(sqlite(fmt.Sprintf("CREATE TABLE entry (x); PRAGMA application_id = %d; PRAGMA user_version = -1", applicationID))), ErrForeign, "version -1"},
		{"a directory that is a file", func(t *testing.T) string {
			t.Helper()
			path := filepath.Join(t.TempDir(), "plain")
			if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			return path
		}, nil, "not a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := test.path(t)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			store, err := Open(t.Context(), path)
			if err == nil {
				store.Close()
				t.Fatal("opened")
			}
			if (test.want != nil && !errors.Is(err, test.want)) || !strings.Contains(err.Error(), test.text) || !strings.Contains(err.Error(), path) {
				t.Errorf("error: %v", err)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
}

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

func TestFilesAndDirectoriesAreForTheOwnerOnly(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "deep", "data")
	fill(t, directory, 1)
	for path, want := range map[string]os.FileMode{
		directory: 0o700, filepath.Join(directory, FileName): 0o600, filepath.Join(directory, FileName+"-wal"): 0o600,
		filepath.Join(directory, FileName+"-shm"): 0o600, filepath.Join(directory, FileName+".lock"): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

func TestAFullDatabaseStopsTheLedgerAndLosesNothing(t *testing.T) {
	directory := t.TempDir()
	l, store, key := fill(t, directory, 5)
	pages := int64(0)
	if err := store.writer.held.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if err := store.writer.exec(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages+2)); err != nil {
		t.Fatal(err)
	}
	charged := 5
	var err error
	for range 1000 {
		if err = call(t, l, key.ID); err != nil {
			break
		}
		charged++
	}
	if !errors.Is(err, ledger.ErrUnavailable) || !strings.Contains(err.Error(), "full") {
		t.Fatalf("error after %d calls: %v", charged, err)
	}
	if err := l.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("close: %v", err)
	}
	l, _, _ = reopen(t, directory)
	if account, _ := l.Account("acme"); account.Spent != ledger.Micro(charged)*1000 {
		t.Errorf("%d calls were acknowledged, account %+v", charged, account)
	}
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

// TestPowerLossAtAnyByteOfTheLogKeepsWhatWasSynced cuts SQLite's write-ahead log
// at random places, with and without garbage behind the cut, as a power loss does,
// and opens the result.
func TestPowerLossAtAnyByteOfTheLogKeepsWhatWasSynced(t *testing.T) {
	directory := t.TempDir()
	l, _, key := fill(t, directory, 0)
	file := filepath.Join(directory, FileName)
	type mark struct {
		size     int
		sequence int64
	}
	var marks []mark
	for range 40 {
		if err := call(t, l, key.ID); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		marks = append(marks, mark{int(info.Size()), l.Stats().DurableSequence})
	}
	database, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wal, err := os.ReadFile(file + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	for range 150 {
		cut := marks[0].size + rand.IntN(len(wal)-marks[0].size+1)
		image := append([]byte(nil), wal[:cut]...)
		switch rand.IntN(3) {
		case 0: // blocks that were never written
			image = append(image, make([]byte, rand.IntN(9000))...)
		case 1: // blocks of something else
			for range rand.IntN(9000) {
				image = append(image, byte(rand.Uint32()))
			}
		}
		var synced mark
		for _, m := range marks {
			if m.size <= cut {
				synced = m
			}
		}
		checkImage(t, database, image, synced.sequence, cut)
	}
}

// checkImage opens a ledger as a power loss left it.
func checkImage(t *testing.T, database, wal []byte, synced int64, cut int) {
	t.Helper()
	directory := t.TempDir()
	file := filepath.Join(directory, FileName)
	if err := errors.Join(os.WriteFile(file, database, 0o600), os.WriteFile(file+"-wal", wal, 0o600)); err != nil {
		t.Fatal(err)
	}
	l, store, err := reopen(t, directory)
	if err != nil {
		t.Fatalf("cut at %d: %v", cut, err)
	}
	if durable := l.Stats().Sequence - 1; durable < synced { // the last is the new epoch
		t.Errorf("cut at %d: %d entries were synced, %d are left", cut, synced, durable)
	}
	if _, err := ledger.Verify(t.Context(), store); err != nil {
		t.Errorf("cut at %d: %v", cut, err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Errorf("cut at %d: %v", cut, err)
	}
}

func TestVerifyNamesTheFirstEntryThatWasTamperedWith(t *testing.T) {
	for name, statement := range map[string]string{
		"a charge":          "UPDATE entry SET amount = amount + 1 WHERE seq = 7",
		"a balance":         "UPDATE entry SET balance = balance + 1 WHERE seq = 7",
		"a removed entry":   "DELETE FROM entry WHERE seq = 7",
		"a time":            "UPDATE entry SET at = 1 WHERE seq = 7",
		"a kind":            "UPDATE entry SET kind = 'gift' WHERE seq = 7",
		"an account":        "UPDATE entry SET account = 'other' WHERE seq = 7",
		"a doubled call":    "UPDATE entry SET hold = (SELECT hold FROM entry WHERE seq = 6) WHERE seq = 7",
		"a quantity":        "UPDATE entry SET duration_us = duration_us + 60 WHERE seq = 7",
		"an unknown price":  "UPDATE entry SET price_version = 9 WHERE seq = 7",
		"a foreign epoch":   "UPDATE entry SET hold = hold + (1 << 50) WHERE seq = 7",
		"a changed key":     "UPDATE entry SET key_id = 'AAAAAAAAAA' WHERE seq = 7",
		"a charge for free": "UPDATE entry SET kind = 'void' WHERE seq = 7",
		"a negative count":  "UPDATE entry SET input_tokens = -3 WHERE seq = 7",
		"no number":         "UPDATE entry SET amount = 'much' WHERE seq = 7",
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			l, store, _ := fill(t, directory, 10)
			if report, err := ledger.Verify(t.Context(), store); err != nil || report.Calls != 10 || report.Last != 14 {
				t.Fatalf("before: %+v, %v", report, err)
			}
			if err := store.writer.exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			reader, err := OpenReader(t.Context(), directory)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			_, err = ledger.Verify(t.Context(), reader)
			if !errors.Is(err, ledger.ErrCorrupt) || !(strings.Contains(err.Error(), "entry 7:") || strings.Contains(err.Error(), "entry 8:")) {
				t.Errorf("verify: %v", err)
			}
		})
	}
}

func TestADamagedSnapshotIsPassedOver(t *testing.T) {
	directory := t.TempDir()
	l, store, key := fill(t, directory, 3, ledger.WithSnapshotEvery(4))
	for range 40 {
		if err := call(t, l, key.ID); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if list, err := store.Snapshots(t.Context()); err == nil && len(list) == 2 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("snapshots: %v, %v", list, err)
		}
	}
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
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	l, store, key := fill(t, directory, 0, ledger.WithClock(func() time.Time { return at }))
	for range 5 {
		for range 3 {
			if err := call(t, l, key.ID); err != nil {
				t.Fatal(err)
			}
		}
		at = at.Add(24 * time.Hour)
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

func TestACutFileIsRefused(t *testing.T) {
	directory := t.TempDir()
	l, _, _ := fill(t, directory, 300)
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(directory, FileName)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 90, 4096, len(whole) / 2, len(whole) - 4096} {
		if err := os.WriteFile(file, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if store, err := Open(t.Context(), directory); err == nil {
			var l *ledger.Ledger
			if l, err = ledger.Open(t.Context(), store); err == nil {
				_ = l.Close(t.Context())
				t.Errorf("a file cut to %d of %d bytes opens", size, len(whole))
			}
		}
	}
}
