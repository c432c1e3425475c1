package sqlitestore

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// version1 writes a ledger that version 1 of the schema wrote: three days with all
// kinds of entries, the first one pruned, two snapshots, and a stream that ran when it
// was closed.
func version1(t *testing.T) (directory string) { t.Helper(); return older(t, "version1") }

// version2 is one of version 2: as version 1, with a write-off on each day.
func version2(t *testing.T) (directory string) { t.Helper(); return older(t, "version2") }

// older writes a ledger that an older program left.
func older(t *testing.T, name string) (directory string) {
	t.Helper()
	packed, err := os.Open("testdata/" + name + ".db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	reader, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return place(t, content)
}

// place puts a ledger's file into a directory of its own.
func place(t *testing.T, content []byte) (directory string) {
	t.Helper()
	directory = t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, FileName), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return directory
}

// dump returns all rows of some tables as text.
func dump(t *testing.T, directory string, queries ...string) string {
	t.Helper()
	db, err := sql.Open("sqlite", dataSource(filepath.Join(directory, FileName), "rw", "query_only(1)"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var text strings.Builder
	for _, query := range queries {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			fmt.Fprintf(&text, "%s: %v\n", query, err)
			continue
		}
		names, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		values, targets := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			targets[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(targets...); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&text, "%#v\n", values)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			fmt.Fprintf(&text, "%s: %v\n", query, err)
		}
	}
	return text.String()
}

// oldTables are the contents that an older file must keep.
var oldTables = []string{
	"SELECT " + strings.TrimSuffix(columnList, ", checksum") + " FROM entry ORDER BY seq",
	"SELECT day, key_id, model, account, requests, input_tokens, cached_tokens, output_tokens, duration_us, charged FROM closed_usage",
	"SELECT * FROM closed_balance", "SELECT * FROM snapshot", "SELECT * FROM snapshot_part", "SELECT * FROM balances",
	"SELECT day, account, key_id, model, requests, input_tokens, cached_tokens, output_tokens, duration_us, charged_micro FROM usage_by_day",
}

func TestAFileOfVersion2LearnsWhatWasWrittenOff(t *testing.T) {
	directory := version2(t)
	before := dump(t, directory, oldTables...)
	store, err := Open(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	if after := dump(t, directory, oldTables...); after != before {
		t.Errorf("after the upgrade:\n%s\nbefore:\n%s", after, before)
	}
	if report, err := ledger.Verify(t.Context(), store); err != nil || report.First != 17 || report.Last != 35 || report.NoChecksum != 0 {
		t.Errorf("verify: %+v, %v", report, err)
	}
	l, err := ledger.Open(t.Context(), store, ledger.WithClock(func() time.Time { return time.Date(2026, 11, 4, 18, 0, 0, 0, time.UTC) }))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	rows, err := l.Usage(t.Context(), ledger.UsageQuery{Model: "tiny"})
	if err != nil {
		t.Fatal(err)
	}
	writtenOff := map[string]ledger.Micro{}
	for _, row := range rows {
		writtenOff[row.Day.Format("02")] += row.WriteOff
	}
	// The entries of the first day were pruned.
	if want := map[string]ledger.Micro{"02": 0, "03": 4166667, "04": 4166667}; !maps.Equal(writtenOff, want) {
		t.Errorf("written off: %v, want %v", writtenOff, want)
	}
	if view := dump(t, directory, "SELECT sum(written_off_micro) FROM usage_by_day"); !strings.Contains(view, "{8333334}") {
		t.Errorf("the view says %s", view)
	}
	if _, err := ledger.Verify(t.Context(), store); err != nil {
		t.Errorf("verify after a start: %v", err)
	}
}

func TestVerifyTellsOfEntriesWithoutAChecksum(t *testing.T) {
	store, err := Open(t.Context(), version1(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	if report, err := ledger.Verify(t.Context(), store); err != nil || report.NoChecksum != 28 || report.Last < 52 {
		t.Errorf("%+v, %v, want 28 entries of version 1 without a checksum", report, err)
	}
}

func TestAFileOfVersion1IsUpgraded(t *testing.T) {
	directory := version1(t)
	before := dump(t, directory, oldTables...)
	if _, err := OpenReader(t.Context(), directory); err == nil || !strings.Contains(err.Error(), "start the program once") {
		t.Errorf("a reader: %v", err)
	}
	store, err := Open(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	if after := dump(t, directory, oldTables...); after != before {
		t.Errorf("after the upgrade:\n%s\nbefore:\n%s", after, before)
	}
	report, err := ledger.Verify(t.Context(), store)
	if err != nil || report.First != 24 || report.Last != 51 || report.Head.Sequence != 51 {
		t.Errorf("verify: %+v, %v", report, err)
	}
	l, err := ledger.Open(t.Context(), store, ledger.WithClock(func() time.Time { return time.Date(2026, 11, 1, 18, 0, 0, 0, time.UTC) }))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	if account, ok := l.Account("acme"); !ok || account.Name != "Acme Ltd" || account.Spent+account.Available != 100_250_001 {
		t.Errorf("account: %+v, %v", account, ok)
	}
	if _, err := ledger.Verify(t.Context(), store); err != nil {
		t.Errorf("verify after a start: %v", err)
	}
}

func TestChangesOfAnUpgradedFileAreFound(t *testing.T) {
	for _, upgraded := range []func(*testing.T) string{version1, version2} {
		changesAreFound(t, upgraded)
	}
}

// changesAreFound changes upgraded files and verifies them.
func changesAreFound(t *testing.T, upgraded func(*testing.T) string) {
	t.Helper()
	for _, statement := range []string{
		"UPDATE closed_usage SET written_off = written_off + 1 WHERE day = (SELECT min(day) FROM closed_usage)",
		"UPDATE closed_usage SET written_off = written_off + 1 WHERE day = (SELECT max(day) FROM closed_usage)",
		"UPDATE closed_usage SET written_off = 0",
		"UPDATE entry SET request_id = 'x' WHERE seq = 30",
		"UPDATE entry SET amount = amount + 1 WHERE seq = 30",
		"DELETE FROM entry WHERE seq = 30",
		"UPDATE closed_usage SET requests = requests + 1 WHERE day = 20391 + 365",
		"UPDATE closed_usage SET requests = requests + 1",
		"DELETE FROM closed_balance",
	} {
		store, err := Open(t.Context(), upgraded(t))
		if err != nil {
			t.Fatal(err)
		}
		tables := append([]string{"SELECT * FROM closed_usage"}, oldTables...)
		before := dump(t, filepath.Dir(store.path), tables...)
		execute(t, store, statement)
		if dump(t, filepath.Dir(store.path), tables...) == before {
			_ = store.Close()
			continue
		}
		if _, err := ledger.Verify(t.Context(), store); !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("%s: %v", statement, err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnUpgradeThatIsInterruptedLeavesOneVersionOrTheOther cuts the log that the upgrade
// writes, as a crash or a power loss does, and starts with the rest.
func TestAnUpgradeThatIsInterruptedLeavesOneVersionOrTheOther(t *testing.T) {
	directory := version1(t)
	contents := dump(t, directory, oldTables...)
	file := filepath.Join(directory, FileName)
	store, err := Open(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	database, err1 := os.ReadFile(file)
	wal, err2 := os.ReadFile(file + "-wal")
	if err := errors.Join(err1, err2, store.Close()); err != nil {
		t.Fatal(err)
	}
	versions := map[int64]int{}
	for _, cut := range append([]int{0, len(wal)}, cuts(len(wal), 40)...) {
		image := place(t, database)
		if err := os.WriteFile(filepath.Join(image, FileName+"-wal"), wal[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		var version int64
		_, _ = fmt.Sscanf(dump(t, image, "PRAGMA user_version"), "[]interface {}{%d}", &version)
		versions[version]++
		store, err := Open(t.Context(), image)
		if err != nil {
			t.Fatalf("log cut to %d of %d bytes: %v", cut, len(wal), err)
		}
		if _, err := ledger.Verify(t.Context(), store); err != nil {
			t.Errorf("log cut to %d of %d bytes: %v", cut, len(wal), err)
		}
		if after := dump(t, image, oldTables...); after != contents {
			t.Errorf("log cut to %d of %d bytes:\n%s\nwant:\n%s", cut, len(wal), after, contents)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if versions[1] == 0 || versions[3] == 0 || len(versions) != 2 {
		t.Errorf("versions after the cuts: %v", versions)
	}
}

func cuts(size, count int) (at []int) {
	for range count {
		at = append(at, rand.IntN(size))
	}
	return at
}

// An upgrade that fails leaves the file as it was.
func TestAnUpgradeThatFailsChangesNothing(t *testing.T) {
	directory := version1(t)
	before, err := os.ReadFile(filepath.Join(directory, FileName))
	if err != nil {
		t.Fatal(err)
	}
	kept := migrations
	migrations = slices.Clone(kept)
	defer func() { migrations = kept }()
	migrations[1].fill = func(ctx context.Context, w *writer) error {
		return errors.Join(chainOldEntries(ctx, w), errors.New("the machine stops here"))
	}
	if _, err := Open(t.Context(), directory); err == nil || !strings.Contains(err.Error(), "migrate from schema version 1: the machine stops here") {
		t.Fatalf("open: %v", err)
	}
	after, err := os.ReadFile(filepath.Join(directory, FileName))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed (%v)", err)
	}
}

func TestSmallAmountsKeepTheirSign(t *testing.T) {
	store, err := Open(t.Context(), version1(t))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	l, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	for amount, want := range map[ledger.Micro]string{-250_000: "-0.250000", -1: "-0.000001", -1_500_000: "-1.500000", 250_000: "0.250000", 7_000_001: "7.000001"} {
		made, err := l.Adjust(t.Context(), "acme", ledger.Adjustment{Amount: amount, Reason: "test", IdempotencyKey: fmt.Sprint("correction of ", amount)})
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := store.readers.QueryRowContext(t.Context(), "SELECT amount FROM entries WHERE seq = ?", made.Sequence).Scan(&got); err != nil || got != want {
			t.Errorf("%d is shown as %s (%v), want %s", amount, got, err, want)
		}
	}
}

func TestEveryColumnIsWrittenReadAndHashed(t *testing.T) {
	store, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var names string
	err = store.readers.QueryRowContext(t.Context(), "SELECT group_concat(name, ', ') FROM pragma_table_info('entry')").Scan(&names)
	if err != nil || names != columnList {
		t.Errorf("the table has the columns\n%s (%v), the code knows\n%s", names, err, columnList)
	}
}
