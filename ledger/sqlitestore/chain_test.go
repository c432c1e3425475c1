package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// specimen returns the bytes of a small ledger with something in every table: one that
// version 1 wrote, and two days of this version. If pruned is set, days of both
// versions are pruned.
func specimen(t *testing.T, pruned bool) []byte {
	t.Helper()
	directory := version1(t)
	now, tomorrow := testClock()
	tomorrow() // what version 1 wrote is of the days before
	store, err := Open(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), store, ledger.WithClock(now))
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := l.CreateKey(t.Context(), ledger.NewKey{Name: "new", Owner: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for range 3 {
			if err := call(t, l, key.ID); err != nil {
				t.Fatal(err)
			}
		}
		tomorrow()
	}
	if pruned {
		if _, err := l.Prune(t.Context(), now().Add(-24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ledger.Verify(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(directory, FileName))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// verifyFile verifies a ledger's file.
func verifyFile(t *testing.T, directory string) error {
	t.Helper()
	store, err := OpenReader(t.Context(), directory)
	if err != nil {
		return err
	}
	defer store.Close()
	_, err = ledger.Verify(t.Context(), store)
	return err
}

// table is one that must not change, with its key and its other columns.
type table struct {
	name         string
	key, columns []string
	rows         int
}

// tablesOf reads which tables there are.
func tablesOf(t *testing.T, directory string) []table {
	t.Helper()
	db, err := sql.Open("sqlite", dataSource(filepath.Join(directory, FileName), "rw"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var tables []table
	for _, name := range []string{"entry", "chain", "pruned", "closed_usage", "closed_balance", "snapshot", "snapshot_part"} {
		found := table{name: name}
		rows, err := db.QueryContext(t.Context(), "SELECT name, pk FROM pragma_table_info(?)", name)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var column string
			var key int
			if err := rows.Scan(&column, &key); err != nil {
				t.Fatal(err)
			}
			found.columns = append(found.columns, column)
			if key > 0 {
				found.key = append(found.key, column)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+name).Scan(&found.rows); err != nil || found.rows == 0 {
			t.Fatalf("table %s has %d rows, %v", name, found.rows, err)
		}
		tables = append(tables, found)
	}
	return tables
}

// nth selects one row of a table.
func (b *table) nth(n int) string {
	key := strings.Join(b.key, ", ")
	return fmt.Sprintf("(%s) = (SELECT %s FROM %s ORDER BY %s LIMIT 1 OFFSET %d)", key, key, b.name, key, n)
}

// changes returns statements that change a value, remove a row, add one, or make two
// rows change places.
func (b *table) changes() []string {
	var statements []string
	for _, column := range b.columns {
		where := " WHERE " + b.nth(rand.IntN(b.rows))
		statements = append(statements,
			"UPDATE "+b.name+" SET "+column+" = CASE typeof("+column+") WHEN 'integer' THEN "+column+" + 1 WHEN 'text' THEN "+column+" || 'x'"+
				" WHEN 'blob' THEN randomblob(length("+column+")) ELSE 1 END"+where,
			"UPDATE "+b.name+" SET "+column+" = CASE typeof("+column+") WHEN 'integer' THEN -"+column+" - 1 WHEN 'text' THEN upper("+column+") || '7'"+
				" WHEN 'blob' THEN substr("+column+", 2) ELSE 'x' END"+where,
			"UPDATE OR IGNORE "+b.name+" SET "+column+" = NULL"+where)
	}
	for range 3 {
		n := rand.IntN(b.rows)
		statements = append(statements, "DELETE FROM "+b.name+" WHERE "+b.nth(n))
		values := strings.Join(b.columns, ", ")
		last := b.key[len(b.key)-1]
		doubled := strings.Replace(", "+values+",", ", "+last+",", ", (SELECT max("+last+") + 1 FROM "+b.name+"),", 1)
		statements = append(statements, "INSERT INTO "+b.name+" SELECT "+strings.Trim(doubled, ", ")+" FROM "+b.name+" WHERE "+b.nth(n))
	}
	if b.rows > 1 {
		var others []string
		for _, column := range b.columns {
			if !slices.Contains(b.key, column) {
				others = append(others, column)
			}
		}
		list := strings.Join(others, ", ")
		n := rand.IntN(b.rows - 1)
		statements = append(statements, fmt.Sprintf("CREATE TEMP TABLE kept AS SELECT * FROM %s WHERE %s; "+
			"UPDATE %[1]s SET (%[3]s) = (SELECT %[3]s FROM %[1]s WHERE %[4]s) WHERE %[2]s; UPDATE %[1]s SET (%[3]s) = (SELECT %[3]s FROM kept) WHERE %[4]s",
			b.name, b.nth(n), list, b.nth(n+1)))
	}
	return append(statements, "DELETE FROM "+b.name)
}

// allTables are all contents, for a comparison.
var allTables = []string{
	"SELECT * FROM entry ORDER BY seq", "SELECT * FROM chain ORDER BY last", "SELECT * FROM pruned", "SELECT * FROM closed_usage ORDER BY key_id, day, model",
	"SELECT * FROM closed_balance ORDER BY account", "SELECT * FROM snapshot ORDER BY seq", "SELECT * FROM snapshot_part ORDER BY snapshot, part",
	"SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name", "SELECT * FROM balances ORDER BY account", "SELECT * FROM usage_by_day ORDER BY 1, 2, 3, 4",
	"SELECT * FROM entries ORDER BY seq",
}

// An ordinary snapshot is a copy of what the log says: without it a start takes longer.
var harmless = regexp.MustCompile(`^DELETE FROM snapshot\b`)

func TestEveryChangeOfARowIsFound(t *testing.T) {
	found := 0
	for _, pruned := range []bool{false, true} {
		content := specimen(t, pruned)
		tables := tablesOf(t, place(t, content))
		for i := range tables {
			if pruned && strings.HasPrefix(tables[i].name, "snapshot") {
				continue // those before the pruned day stand for nothing any more
			}
			for _, statement := range tables[i].changes() {
				directory := place(t, content)
				before := dump(t, directory, allTables...)
				db, err := sql.Open("sqlite", dataSource(filepath.Join(directory, FileName), "rw"))
				if err != nil {
					t.Fatal(err)
				}
				db.SetMaxOpenConns(1)
				_, err = db.ExecContext(t.Context(), statement)
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				if err != nil && !strings.Contains(err.Error(), "constraint") && !strings.Contains(err.Error(), "mismatch") {
					t.Fatalf("%s: %v", statement, err)
				}
				if harmless.MatchString(statement) || dump(t, directory, allTables...) == before {
					continue // it changed nothing that counts
				}
				found++
				err = verifyFile(t, directory)
				if !errors.Is(err, ledger.ErrCorrupt) {
					t.Errorf("pruned %v: %s: %v", pruned, statement, err)
				}
			}
		}
	}
	if found < 200 {
		t.Errorf("only %d changes were made", found)
	}
}

// TestGarbledBytesAreFound overwrites 64 bytes of a file at random. Where that is not
// found, nothing can be read differently.
func TestGarbledBytesAreFound(t *testing.T) {
	content := specimen(t, true)
	whole := dump(t, place(t, content), allTables...)
	missed := 0
	for range 150 {
		garbled := slices.Clone(content)
		at := rand.IntN(len(garbled) - 64)
		for i := range 64 {
			garbled[at+i] = byte(rand.Uint32())
		}
		directory := place(t, garbled)
		if err := verifyFile(t, directory); err != nil {
			continue
		}
		missed++
		if after := dump(t, directory, allTables...); after != whole {
			t.Errorf("64 bytes garbled at %d were not found:\n%s\nbefore:\n%s", at, after, whole)
		}
	}
	t.Logf("%d times the bytes meant nothing", missed)
}

func TestTheEntryThatWasChangedIsNamed(t *testing.T) {
	for statement, want := range map[string]string{
		"UPDATE entry SET request_id = 'other' WHERE seq = 9":    "entry 9: is not what was written",
		"UPDATE entry SET duration_us = 1 WHERE seq = 9":         "entry 9: is not what was written",
		"UPDATE entry SET cached_tokens = 'no' WHERE seq = 9":    "entry 9: column cached_tokens is not a whole number",
		"UPDATE entry SET account = x'05' WHERE seq = 9":         "entry 9: column account is not a text",
		"UPDATE entry SET kind = 'gift' WHERE seq = 9":           "entry 9: column kind",
		"DELETE FROM entry WHERE seq = 9":                        "entry 10: follows entry 8",
		"DELETE FROM entry WHERE seq >= 14":                      "entry 14: is missing",
		"DELETE FROM chain WHERE last >= 14":                     "entry 14: is not in the chain",
		"UPDATE entry SET checksum = NULL WHERE seq = 9":         "entry 9: is not what was written: its hash is not that of the chain",
		"UPDATE chain SET sha256 = zeroblob(32) WHERE last = 9":  "entry 9: is not what was written: its hash is not that of the chain",
		"UPDATE chain SET sha256 = zeroblob(31) WHERE last = 14": "entry 14: its hash in the chain has 31 bytes",
	} {
		directory := t.TempDir()
		l, store, _ := fill(t, directory, 10)
		execute(t, store, statement)
		wantCorrupt(t, store, want)
		_ = l.Close(context.Background())
		// All of it comes after the newest snapshot, as there is none.
		store, err := Open(t.Context(), directory)
		if err == nil {
			_, err = ledger.Open(t.Context(), store)
		}
		if !errors.Is(err, ledger.ErrCorrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: a start: %v", statement, err)
		}
	}
}

func TestTheHeadStandsForTheWholeLog(t *testing.T) {
	directory := t.TempDir()
	l, store, key := fill(t, directory, 3)
	heads := map[ledger.Head]bool{}
	for range 5 {
		if err := call(t, l, key.ID); err != nil {
			t.Fatal(err)
		}
		head, err := store.Head(t.Context())
		if err != nil || head.Sequence != l.Stats().DurableSequence || heads[head] {
			t.Fatalf("head: %+v, %v, after %v", head, err, heads)
		}
		heads[head] = true
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, store, err := reopen(t, directory)
	if err != nil {
		t.Fatal(err)
	}
	for head := range heads {
		if hash, err := store.HashAt(t.Context(), head.Sequence); err != nil || hash != head.Hash {
			t.Errorf("hash at entry %d: %x, %v, want %x", head.Sequence, hash, err, head.Hash)
		}
	}
	if _, err := store.HashAt(t.Context(), 1000); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("hash at an entry that is not there: %v", err)
	}
}

// A day can be pruned only where a link ends.
func TestACommitThatSpansMidnightHasALinkForEachDay(t *testing.T) {
	store, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	midnight := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	var entries []ledger.Entry
	for i := range int64(40) {
		entries = append(entries, ledger.Entry{Sequence: i + 1, Kind: ledger.KindEpoch, Hold: ledger.HoldID(i+1) << 40, At: midnight.Add(time.Duration(i-25) * time.Second)})
	}
	if err := store.Append(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	for _, sequence := range []int64{25, 40} {
		if _, err := store.HashAt(t.Context(), sequence); err != nil {
			t.Error(err)
		}
	}
	if _, err := ledger.Verify(t.Context(), store); err != nil {
		t.Error(err)
	}
}

// A commit that fails must leave the chain where it was.
func TestTheChainGoesOnAfterACommitThatFailed(t *testing.T) {
	store, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	entry := func(sequence int64) ledger.Entry {
		return ledger.Entry{Sequence: sequence, Kind: ledger.KindEpoch, Hold: ledger.HoldID(sequence) << 40, At: time.Unix(sequence, 0)}
	}
	if err := store.Append(t.Context(), []ledger.Entry{entry(1)}); err != nil {
		t.Fatal(err)
	}
	if err := store.Append(t.Context(), []ledger.Entry{entry(2), entry(1)}); err == nil {
		t.Fatal("an entry was written twice")
	}
	if err := store.Append(t.Context(), []ledger.Entry{entry(2)}); err != nil {
		t.Fatal(err)
	}
	if report, err := ledger.Verify(t.Context(), store); err != nil || report.Last != 2 {
		t.Errorf("verify: %+v, %v", report, err)
	}
}
