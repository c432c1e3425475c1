package sqlitestore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penstockhq/penstock/ledger"
)

// steps collects what a Progress hears.
func steps() (progress Progress, heard func() map[string]int64) {
	var mu sync.Mutex
	last := map[string]int64{}
	progress = func(step string, done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		if total > 0 && done <= total {
			last[step] = done
		}
	}
	return progress, func() map[string]int64 { mu.Lock(); defer mu.Unlock(); return last }
}

func TestABackupOfALedgerInUseIsWhole(t *testing.T) {
	directory := t.TempDir()
	l, store, key := fill(t, directory, 20)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // calls go on meanwhile
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				if err := call(t, l, key.ID); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	before := l.Stats().DurableSequence
	file := filepath.Join(t.TempDir(), "backup.db")
	progress, heard := steps()
	report, err := store.Backup(t.Context(), file, progress)
	close(stop)
	<-stopped
	if err != nil || report.Last < before || report.Head.Sequence != report.Last {
		t.Fatalf("backup: %+v, %v, of at least %d entries", report, err, before)
	}
	if last := heard(); last[StepCopy] == 0 || last[StepVerify] != report.Last {
		t.Errorf("progress: %v", last)
	}
	if hash, err := store.HashAt(t.Context(), report.Last); err != nil || hash != report.Head.Hash {
		t.Errorf("the backup has another head: %x, %v", hash, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if _, err := store.Backup(t.Context(), file, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second backup to the same file: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("files beside the backup: %v, %v", left, err)
	}
}

func TestADamagedLedgerIsNotBackedUp(t *testing.T) {
	_, store, _ := fill(t, t.TempDir(), 5)
	execute(t, store, "UPDATE entry SET request_id = 'x' WHERE seq = 6")
	file := filepath.Join(t.TempDir(), "backup.db")
	if _, err := store.Backup(t.Context(), file, nil); !errors.Is(err, ledger.ErrCorrupt) || !strings.Contains(err.Error(), "entry 6") {
		t.Errorf("backup: %v", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
}

func TestALostLedgerIsRescued(t *testing.T) {
	for name, test := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := filepath.Join(t.TempDir(), "data")
			l, _, key := fill(t, directory, 30)
			if err := test.lose(filepath.Join(directory, FileName)); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "rescued.db")
			if complete, err := l.Rescue(t.Context(), file); err != nil || !complete {
				t.Fatalf("rescue: %v, %v", complete, err)
			}
			wanted, err := l.Usage(t.Context(), ledger.UsageQuery{KeyID: key.ID})
			if err != nil {
				wanted = nil // closed days cannot be read from a lost file
			}
			_ = l.Close(context.Background())
			l, store, err := reopen(t, file)
			if err != nil {
				t.Fatal(err)
			}
			if account, ok := l.Account("acme"); !ok || account.Spent != 30_000 {
				t.Errorf("account: %+v, %v", account, ok)
			}
			if usage, err := l.Usage(t.Context(), ledger.UsageQuery{KeyID: key.ID}); err != nil || wanted != nil && !slices.Equal(usage, wanted) {
				t.Errorf("usage: %+v, %v, want %+v", usage, err, wanted)
			}
			if err := call(t, l, key.ID); err != nil {
				t.Error(err)
			}
			if _, err := ledger.Verify(t.Context(), store); err != nil {
				t.Error(err)
			}
		})
	}
}

// unreadable is a store that cannot be copied any more.
type unreadable struct{ *Store }

func (unreadable) Rescue(context.Context, string) (ledger.Report, error) {
	return ledger.Report{}, errors.New("nothing is left to read")
}

func TestWhatMemoryKnowsIsRescuedWithoutTheLog(t *testing.T) {
	directory := t.TempDir()
	now, tomorrow := testClock()
	inner, err := Open(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), unreadable{inner}, ledger.WithClock(now))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	key, secret, err := l.CreateKey(t.Context(), ledger.NewKey{Name: "k", Owner: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.TopUp(t.Context(), "acme", ledger.Credit, "first"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := errors.Join(call(t, l, key.ID), call(t, l, key.ID)); err != nil {
			t.Fatal(err)
		}
		tomorrow()
	}
	usage, err := l.Usage(t.Context(), ledger.UsageQuery{})
	if err != nil || len(usage) != 3 {
		t.Fatalf("usage: %+v, %v", usage, err)
	}
	file := filepath.Join(t.TempDir(), "rescued.db")
	if complete, err := l.Rescue(t.Context(), file); err != nil || complete {
		t.Fatalf("rescue: %v, %v", complete, err)
	}
	store, err := Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	rescued, err := ledger.Open(t.Context(), store, ledger.WithClock(now))
	if err != nil {
		t.Fatal(err)
	}
	defer rescued.Close(context.Background())
	if _, err := rescued.Authenticate(secret.Reveal()); err != nil {
		t.Error(err)
	}
	if after, err := rescued.Usage(t.Context(), ledger.UsageQuery{}); err != nil || !slices.Equal(after, usage) {
		t.Errorf("usage: %+v, %v, want %+v", after, err, usage)
	}
	if again, err := rescued.TopUp(t.Context(), "acme", ledger.Credit, "first"); err != nil || !again.Replayed || again.Account.Available != 994_000 {
		t.Errorf("top-up repeated: %+v, %v", again, err)
	}
	if err := call(t, rescued, key.ID); err != nil {
		t.Error(err)
	}
	if _, err := ledger.Verify(t.Context(), store); err != nil {
		t.Error(err)
	}
}

func TestABackupIsRestored(t *testing.T) {
	directory := t.TempDir()
	l, store, key := fill(t, directory, 5)
	backup := filepath.Join(t.TempDir(), "backup.db")
	report, err := store.Backup(t.Context(), backup, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), directory, backup, false, nil); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("a restore while the ledger is in use: %v", err)
	}
	if err := errors.Join(call(t, l, key.ID), l.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), directory, backup, false, nil); !errors.Is(err, ErrAhead) || !strings.Contains(err.Error(), "ends with entry 10, and the backup with entry 9") {
		t.Errorf("a restore over a newer ledger: %v", err)
	}
	progress, heard := steps()
	restored, err := Restore(t.Context(), directory, backup, true, progress)
	if err != nil || restored.Report != report || restored.Kept == "" {
		t.Fatalf("restore: %+v, %v, want %+v", restored, err, report)
	}
	if last := heard(); last[StepCopy] == 0 || last[StepVerify] != report.Last {
		t.Errorf("progress: %v", last)
	}
	l, _, err = reopen(t, directory)
	if err != nil {
		t.Fatal(err)
	}
	if account, _ := l.Account("acme"); account.Spent != 5000 {
		t.Errorf("account: %+v", account)
	}
	content, err := os.ReadFile(restored.Kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyFile(t, place(t, content)); err != nil {
		t.Errorf("the ledger that was there before: %v", err)
	}
}

func TestARestoreReplacesOnlyWhatTheBackupContinues(t *testing.T) {
	_, store, _ := fill(t, t.TempDir(), 9)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if _, err := store.Backup(t.Context(), backup, nil); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	content, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, content[:len(content)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	other := func(t *testing.T) string {
		t.Helper()
		directory := t.TempDir()
		l, _, _ := fill(t, directory, 2)
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return directory
	}
	earlier := func(t *testing.T) string {
		t.Helper()
		directory := place(t, content)
		db, err := openWriter(t.Context(), dataSource(filepath.Join(directory, FileName), "rw"))
		if err != nil {
			t.Fatal(err)
		}
		err = db.exec(t.Context(), "DELETE FROM entry WHERE seq > 8; DELETE FROM chain WHERE last > 8")
		if err := errors.Join(err, db.close()); err != nil {
			t.Fatal(err)
		}
		return directory
	}
	emptied := func(t *testing.T) string {
		t.Helper()
		return emptied(t, func(file string) error { return os.Truncate(file, 0) })
	}
	for name, test := range map[string]struct {
		directory func(*testing.T) string
		backup    string
		want      error
	}{
		"none":                     {func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "new") }, backup, nil},
		"an earlier state":         {earlier, backup, nil},
		"an emptied ledger":        {emptied, backup, nil},
		"another ledger":           {other, backup, ErrAhead},
		"from a damaged backup":    {earlier, damaged, ledger.ErrCorrupt},
		"from a file that is none": {earlier, filepath.Join(t.TempDir(), "none.db"), fs.ErrNotExist},
		"from a version 1":         {func(t *testing.T) string { t.Helper(); return t.TempDir() }, filepath.Join(version1(t), FileName), nil},
	} {
		t.Run(name, func(t *testing.T) {
			directory := test.directory(t)
			var before string
			if test.want != nil {
				before = contents(t, directory)
			}
			_, err := Restore(t.Context(), directory, test.backup, false, nil)
			if !errors.Is(err, test.want) {
				t.Fatalf("restore: %v, want %v", err, test.want)
			}
			if test.want == nil {
				if err := verifyFile(t, directory); err != nil {
					t.Error(err)
				}
			} else if after := contents(t, directory); after != before {
				t.Errorf("the files were changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// A crash in the middle of a restore must not start a new ledger.
func TestARestoreThatDiedIsRefusedAndRepeated(t *testing.T) {
	directory := t.TempDir()
	l, store, _ := fill(t, directory, 5)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if _, err := store.Backup(t.Context(), backup, nil); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := moveAside(filepath.Join(directory, FileName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), directory); !errors.Is(err, ErrLost) {
		t.Errorf("a start in the middle: %v", err)
	}
	if _, err := Restore(t.Context(), directory, backup, false, nil); err != nil {
		t.Error(err)
	}
	if err := verifyFile(t, directory); err != nil {
		t.Error(err)
	}
}
