package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// emptied returns the directory of a ledger that was closed, with what a loss left of it.
func emptied(t *testing.T, lose func(file string) error) (directory string) {
	t.Helper()
	directory = t.TempDir()
	l, _, _ := fill(t, directory, 3)
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := lose(filepath.Join(directory, FileName)); err != nil {
		t.Fatal(err)
	}
	return directory
}

func TestALedgerThatWasEmptiedIsNotTakenForANewOne(t *testing.T) {
	blank := func(file string) error {
		db, err := sql.Open("sqlite", dataSource(file, "rwc"))
		if err != nil {
			return err
		}
		_, err = db.Exec("PRAGMA journal_mode = DELETE; CREATE TABLE x (y); DROP TABLE x")
		return errors.Join(err, db.Close())
	}
	withoutMarker := func(file string) error {
		return errors.Join(os.Remove(markerPath(file)), os.WriteFile(file+"-wal", []byte("the newest charges"), 0o600), os.Truncate(file, 0))
	}
	for name, test := range map[string]struct {
		lose func(file string) error
		want string
	}{
		"empty":                     {func(file string) error { return os.Truncate(file, 0) }, "the file is empty"},
		"missing":                   {os.Remove, "the file is missing"},
		"without tables":            {func(file string) error { return errors.Join(os.Remove(file), blank(file)) }, "the file holds no tables"},
		"without marker, but a log": {withoutMarker, "the file is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			directory := emptied(t, test.lose)
			before := contents(t, directory)
			for opening, open := range map[string]func(context.Context, string) (*Store, error){"writer": Open, "reader": OpenReader} {
				store, err := open(t.Context(), directory)
				if err == nil {
					_ = store.Close()
				}
				if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "restore the file from a backup") {
					t.Errorf("%s: %v", opening, err)
				}
			}
			if after := contents(t, directory); after != before {
				t.Errorf("the files were changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// contents lists the files of a ledger with their contents, but for its lock.
func contents(t *testing.T, directory string) string {
	t.Helper()
	var text strings.Builder
	files, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), ".lock") || strings.HasSuffix(file.Name(), "-shm") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(directory, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(file.Name() + ": " + string(content) + "\n")
	}
	return text.String()
}

func TestWithoutItsMarkerANewLedgerIsCreated(t *testing.T) {
	directory := emptied(t, func(file string) error { return errors.Join(os.Remove(file), os.Remove(markerPath(file))) })
	l, _, err := reopen(t, directory)
	if err != nil || !l.Empty() {
		t.Errorf("open: %v", err)
	}
}

func TestALedgerThatHasNoMarkerGetsOne(t *testing.T) {
	directory := emptied(t, func(file string) error { return os.Remove(markerPath(file)) })
	l, _, err := reopen(t, directory)
	if err != nil || l.Empty() {
		t.Fatalf("open: %v", err)
	}
	if _, err := os.Stat(markerPath(filepath.Join(directory, FileName))); err != nil {
		t.Error(err)
	}
}

func TestAFirstStartThatDiedIsRepeated(t *testing.T) {
	for name, left := range map[string]map[string]string{
		"before anything was written": {FileName: ""},
		"nothing but the lock":        {FileName + ".lock": ""},
		"with an empty log":           {FileName: "", FileName + "-wal": ""},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			for file, content := range left {
				if err := os.WriteFile(filepath.Join(directory, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := reopen(t, directory); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAFirstStartIsNeverTakenForALoss cuts the log of a first start as a power loss does.
func TestAFirstStartIsNeverTakenForALoss(t *testing.T) {
	for cut := range 12 {
		directory := t.TempDir()
		file := filepath.Join(directory, FileName)
		// A start that died while SQLite wrote the schema has the file's first page and a
		// part of the log.
		store, err := Open(t.Context(), directory)
		if err != nil {
			t.Fatal(err)
		}
		database, err1 := os.ReadFile(file)
		wal, err2 := os.ReadFile(file + "-wal")
		if err := errors.Join(err1, err2, store.Close()); err != nil {
			t.Fatal(err)
		}
		if len(database) == 0 || len(wal) == 0 {
			t.Fatalf("%d bytes and a log of %d: a start that died would look like a loss", len(database), len(wal))
		}
		image := t.TempDir()
		file = filepath.Join(image, FileName)
		err = errors.Join(os.WriteFile(file, database, 0o600), os.WriteFile(file+"-wal", wal[:len(wal)*cut/12], 0o600))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := reopen(t, image); err != nil {
			t.Errorf("log cut to %d of 12 parts: %v", cut, err)
		}
	}
}
