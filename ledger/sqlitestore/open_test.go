package sqlitestore

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

func TestAClosedStoreSaysSo(t *testing.T) {
	store, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Entries(t.Context(), 0, 1); err == nil {
		t.Error("entries are read from a closed store")
	}
	if _, err := store.ClosedUsage(t.Context(), ledger.UsageQuery{}); err == nil {
		t.Error("usage is read from a closed store")
	}
	if err := store.Append(t.Context(), nil); err == nil {
		t.Error("entries are written to a closed store")
	}
	if err := store.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
