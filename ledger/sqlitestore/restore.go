package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/penstockhq/penstock/internal/replace"
	"github.com/penstockhq/penstock/ledger"
)

// ErrAhead says that a ledger has entries that the backup to be restored lacks.
var ErrAhead = errors.New("ledger has entries that the backup lacks")

// Restored says what Restore did.
type Restored struct {
	ledger.Report
	// Kept is where the ledger that was there before is now; empty if there was none.
	Kept string
}

// Restore puts a backup in the place of the ledger of a path, which no process may have
// open (ledger.ErrLocked). It verifies the backup first, after bringing a copy of it up
// to date, and leaves it as it is. A ledger with entries that the backup lacks is only
// replaced if force is set (ErrAhead); one that cannot be read is. The ledger that was
// there is kept under another name. A crash leaves the old ledger, the new one, or none,
// which the next start refuses (ErrLost).
func Restore(ctx context.Context, path, backup string, force bool, progress Progress) (Restored, error) {
	restored, err := restore(ctx, FilePath(path), backup, force, progress)
	if err != nil {
		err = fmt.Errorf("restore ledger %s: %w", FilePath(path), plain(err))
	}
	return restored, err
}

func restore(ctx context.Context, file, backup string, force bool, progress Progress) (restored Restored, err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return restored, err
	}
	lock, err := lockFile(file + ".lock")
	if err != nil {
		return restored, err
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	part, err := os.CreateTemp(filepath.Dir(file), ".restore-*.db") // with mode 0600
	if err != nil {
		return restored, err
	}
	name := part.Name()
	defer func() { err = errors.Join(err, removeAll(name)) }()
	if err := errors.Join(copyBackup(backup, part, progress), part.Close()); err != nil {
		return restored, err
	}
	if err := upgrade(ctx, name); err != nil {
		return restored, fmt.Errorf("backup %s: %w", backup, err)
	}
	if restored.Report, err = verify(ctx, name, progress); err != nil {
		return restored, fmt.Errorf("backup %s: %w", backup, plain(err))
	}
	if !force {
		if err := refuseAhead(ctx, file, name); err != nil {
			return restored, err
		}
	}
	// The marker first: from here on a missing ledger is one that a crash left.
	if err := (&Store{path: file}).mark(); err != nil {
		return restored, err
	}
	if restored.Kept, err = moveAside(file); err != nil {
		return restored, err
	}
	if err := os.Rename(name, file); err != nil {
		return restored, err
	}
	return restored, replace.SyncDirectory(filepath.Dir(file))
}

// copyBackup copies a backup, and a write-ahead log that may be beside it.
func copyBackup(backup string, to *os.File, progress Progress) error {
	if err := copyFile(backup, to, progress); err != nil {
		return err
	}
	log, err := os.Stat(backup + "-wal")
	if errors.Is(err, fs.ErrNotExist) || err == nil && log.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	beside, err := os.OpenFile(to.Name()+"-wal", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(copyFile(backup+"-wal", beside, nil), beside.Close())
}

func copyFile(from string, to *os.File, progress Progress) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if info.Size() < smallestFile {
		return fmt.Errorf("%w: %s has %d bytes", ErrForeign, from, info.Size())
	}
	for done := int64(0); ; {
		const some = 16 << 20
		n, err := io.CopyN(to, source, some)
		done += n
		progress.report(StepCopy, done, info.Size())
		if errors.Is(err, io.EOF) {
			return to.Sync()
		}
		if err != nil {
			return err
		}
	}
}

// upgrade brings a file to the newest schema and puts all of it into that one file.
func upgrade(ctx context.Context, file string) error {
	s := &Store{path: file, stat: os.Stat}
	version, err := s.connect(ctx)
	if err == nil && version == 0 {
		err = fmt.Errorf("%w: it holds no tables", ErrForeign)
	}
	if err == nil {
		err = s.migrate(ctx)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return plain(err)
	}
	return syncFile(file)
}

// refuseAhead returns an error that wraps ErrAhead if a ledger has entries that the one
// to replace it lacks. A ledger that cannot be read has none that anybody could use.
func refuseAhead(ctx context.Context, file, replacement string) error {
	last, head, err := lastOf(ctx, file)
	if err != nil {
		return nil //nolint:nilerr // it is kept aside as it is
	}
	s := &Store{path: replacement}
	if err := s.openReader(ctx); err != nil {
		return errors.Join(err, s.Close())
	}
	defer s.Close()
	end, err := s.Head(ctx)
	if err != nil {
		return err
	}
	if last > end.Sequence {
		return fmt.Errorf("%w: it ends with entry %d, and the backup with entry %d", ErrAhead, last, end.Sequence)
	}
	if head.Sequence == 0 {
		return nil // it has no chain, or no entries
	}
	if hash, err := s.HashAt(ctx, head.Sequence); err != nil || hash != head.Hash {
		return fmt.Errorf("%w: the backup's entries up to %d are not those of the ledger", ErrAhead, head.Sequence)
	}
	return nil
}

// lastOf returns the last entry of a ledger of any version, and the head of its chain if
// it has one.
func lastOf(ctx context.Context, file string) (last int64, head ledger.Head, err error) {
	if err := refuseLoss(file); err != nil {
		return 0, head, err
	}
	if _, err := os.Stat(file); err != nil {
		return 0, head, err
	}
	db, err := openReaders(file)
	if err != nil {
		return 0, head, err
	}
	defer db.Close()
	var found sql.NullInt64
	if err := db.QueryRowContext(ctx, "SELECT max(seq) FROM entry").Scan(&found); err != nil {
		return 0, head, err
	}
	if head, err = readHead(ctx, db); err != nil {
		head = ledger.Head{} // version 1 has none
	}
	return found.Int64, head, nil
}

// moveAside gives a ledger another name, with what SQLite keeps beside it. The ledger
// goes first: without its write-ahead log it would lack the newest entries.
func moveAside(file string) (kept string, err error) {
	kept = file + ".before-restore"
	for n := 2; ; n++ {
		if _, err := os.Lstat(kept); errors.Is(err, fs.ErrNotExist) {
			break
		}
		kept = fmt.Sprintf("%s.before-restore-%d", file, n)
	}
	moved := false
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err := os.Rename(file+suffix, kept+suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		moved = moved || err == nil
	}
	if !moved {
		return "", nil
	}
	return kept, nil
}
