package sqlitestore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// losses are ways in which a ledger's file gets lost under a running process.
var losses = map[string]struct {
	lose func(file string) error
	want string
}{
	"deleted": {os.Remove, "ledger.db is gone"},
	"moved":   {func(file string) error { return os.Rename(file, file+".old") }, "ledger.db is gone"},
	"replaced": {func(file string) error {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return errors.Join(os.WriteFile(file+".copy", content, 0o600), os.Rename(file+".copy", file))
	}, "ledger.db is another file"},
	"emptied":            {func(file string) error { return os.Truncate(file, 0) }, "ledger.db was emptied"},
	"without its log":    {func(file string) error { return os.Remove(file + "-wal") }, "ledger.db-wal is gone"},
	"with its directory": {func(file string) error { return os.RemoveAll(filepath.Dir(file)) }, "is gone"},
	"under a plain file": {plainDirectory, "is gone"},
}

// plainDirectory puts a file in place of a ledger's directory.
func plainDirectory(file string) error {
	directory := filepath.Dir(file)
	return errors.Join(os.RemoveAll(directory), os.WriteFile(directory, nil, 0o600))
}

func TestALossWhileInUseEndsAdmission(t *testing.T) {
	for name, test := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := filepath.Join(t.TempDir(), "data")
			failed := make(chan error, 1)
			l, store, key := fill(t, directory, 3, ledger.WithEvents(func(event ledger.Event) { failed <- event.Err }))
			if err := store.InPlace(); err != nil {
				t.Fatal(err)
			}
			hold, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: ledger.Quantity{Duration: time.Second}})
			if err != nil {
				t.Fatal(err)
			}
			if err := test.lose(filepath.Join(directory, FileName)); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-failed:
				if !errors.Is(err, ledger.ErrReplaced) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("event: %v, want %q", err, test.want)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("nobody noticed")
			}
			if err := call(t, l, key.ID); !errors.Is(err, ledger.ErrUnavailable) || !errors.Is(err, ledger.ErrReplaced) {
				t.Errorf("a call afterwards: %v", err)
			}
			if _, err := l.Settle(t.Context(), hold.ID, ledger.Settlement{}); !errors.Is(err, ledger.ErrReplaced) {
				t.Errorf("the end of a call that ran: %v", err)
			}
			// What memory knows stays.
			if account, ok := l.Account("acme"); !ok || account.Spent != 3000 {
				t.Errorf("account: %+v, %v", account, ok)
			}
		})
	}
}

func TestASnapshotIsNotWrittenIntoALostFile(t *testing.T) {
	directory := t.TempDir()
	l, store, _ := fill(t, directory, 1)
	if err := os.Remove(filepath.Join(directory, FileName)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Prune(t.Context(), time.Now()); !errors.Is(err, ledger.ErrReplaced) {
		t.Errorf("prune: %v", err)
	}
	if snapshots, err := store.Snapshots(t.Context()); err != nil || len(snapshots) != 0 {
		t.Errorf("snapshots: %v, %v", snapshots, err)
	}
}

// A file that cannot be looked at may well be there.
func TestAFailedLookSaysNothingOfTheFile(t *testing.T) {
	store, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store.stat = func(string) (os.FileInfo, error) { return nil, os.ErrPermission }
	if err := store.InPlace(); err == nil || errors.Is(err, ledger.ErrReplaced) {
		t.Errorf("in place: %v", err)
	}
	l, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	if err := l.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
}
