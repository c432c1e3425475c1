package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/penstockhq/penstock/internal/replace"
	"github.com/penstockhq/penstock/ledger"
)

// Progress hears how far work has come: how much of a total is done, in bytes or in
// entries. It is called from another goroutine, one call at a time; nil is fine.
type Progress func(step string, done, total int64)

// The steps that a Progress hears of.
const (
	StepCopy   = "copying"   // bytes
	StepVerify = "verifying" // entries
)

func (p Progress) report(step string, done, total int64) {
	if p != nil {
		p(step, min(done, total), total)
	}
}

// Backup copies the ledger as it is at this moment into a new file, also while it is in
// use, and verifies the copy. The file gets its name only when it is whole, durable and
// verified; an existing file is never replaced. Its mode is 0600.
func (s *Store) Backup(ctx context.Context, file string, progress Progress) (ledger.Report, error) {
	return create(ctx, file, progress, func(part string) error {
		// A connection of its own: the copy sees one moment, and nobody waits for it.
		db, err := sql.Open("sqlite", dataSource(s.path, "rw", "busy_timeout(10000)"))
		if err != nil {
			return err
		}
		defer db.Close()
		return vacuumInto(ctx, db, part, progress)
	})
}

// Rescue is Backup for a ledger whose file was deleted or replaced while it was in use.
// The content is still there as long as this process has it open.
func (s *Store) Rescue(ctx context.Context, file string) (ledger.Report, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.writer == nil {
		return ledger.Report{}, errClosed
	}
	return create(ctx, file, nil, func(part string) error {
		return vacuumInto(ctx, s.writer.held, part, nil)
	})
}

// Begin makes a new file whose log starts from a baseline. Its chain goes on from this
// store's.
func (s *Store) Begin(ctx context.Context, file string, baseline ledger.Snapshot) (ledger.Report, error) {
	var head ledger.Head
	s.writing.Lock()
	if s.writer != nil {
		head = s.writer.chain.head
	}
	s.writing.Unlock()
	return create(ctx, file, nil, func(part string) error {
		begun := &Store{path: part, stat: os.Stat}
		_, err := begun.connect(ctx)
		if err == nil {
			err = begun.migrate(ctx)
		}
		if err == nil {
			err = begun.write(ctx, "INSERT INTO chain (last, sha256) VALUES (?, ?)", baseline.Sequence, head.Hash[:])
		}
		if err == nil {
			err = begun.SaveSnapshot(ctx, baseline)
		}
		return errors.Join(err, begun.Close())
	})
}

// VerifyFile verifies a ledger in a file of any name that nobody writes.
func VerifyFile(ctx context.Context, file string, progress Progress) (ledger.Report, error) {
	return verify(ctx, file, progress)
}

// create makes a new file from what write puts into a part of another name.
func create(ctx context.Context, file string, progress Progress, write func(part string) error) (report ledger.Report, err error) {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return report, errors.Join(fmt.Errorf("back up ledger: %s: %w", file, fs.ErrExist), err)
	}
	part, err := os.CreateTemp(filepath.Dir(file), ".backup-*.db") // with mode 0600
	if err != nil {
		return report, fmt.Errorf("back up ledger: %w", err)
	}
	name := part.Name()
	if err = part.Close(); err == nil {
		err = write(name)
	}
	if err == nil {
		err = syncFile(name)
	}
	if err == nil {
		report, err = verify(ctx, name, progress)
	}
	if err == nil {
		err = os.Rename(name, file)
	}
	if err == nil {
		err = replace.SyncDirectory(filepath.Dir(file))
	}
	if err != nil {
		return report, fmt.Errorf("back up ledger: %w", errors.Join(plain(err), removeAll(name)))
	}
	return report, nil
}

// removeAll removes a database and what SQLite keeps beside it.
func removeAll(name string) error {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(name + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func syncFile(name string) error {
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// vacuumInto copies a database into an empty file and reports how that grows.
func vacuumInto(ctx context.Context, from interface {
	queryer
	ExecContext(ctx context.Context, query string, arguments ...any) (sql.Result, error)
}, part string, progress Progress,
) error {
	var pages, size int64
	err := from.QueryRowContext(ctx, "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size").Scan(&pages, &size)
	if err != nil {
		return err
	}
	stop := watch(func() {
		if info, err := os.Stat(part); err == nil {
			progress.report(StepCopy, info.Size(), pages*size)
		}
	})
	defer stop()
	_, err = from.ExecContext(ctx, "VACUUM INTO ?", part)
	return err
}

// watch calls look four times a second until it is stopped, and once more.
func watch(look func()) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(time.Second / 4)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				look()
			case <-done:
				look()
				return
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// verify verifies a file by any name.
func verify(ctx context.Context, file string, progress Progress) (report ledger.Report, err error) {
	s := &Store{path: file}
	if err := s.openReader(ctx); err != nil {
		return report, errors.Join(err, s.Close())
	}
	report, err = Verify(ctx, s, progress)
	return report, errors.Join(err, s.Close())
}

// Verify is ledger.Verify, with progress.
func Verify(ctx context.Context, s *Store, progress Progress) (ledger.Report, error) {
	head, err := s.Head(ctx)
	if err != nil {
		return ledger.Report{}, err
	}
	return ledger.Verify(ctx, &counted{Store: s, progress: progress, total: head.Sequence})
}

// counted is a store that reports how far a replay has come.
type counted struct {
	*Store
	progress Progress
	total    int64
}

// Replay is that of the store.
func (c *counted) Replay(ctx context.Context, after int64, use func(*ledger.Entry) error) error {
	const often = 20_000
	c.progress.report(StepVerify, after, c.total)
	err := c.Store.Replay(ctx, after, func(e *ledger.Entry) error {
		if e.Sequence%often == 0 {
			c.progress.report(StepVerify, e.Sequence, c.total)
		}
		return use(e)
	})
	if err == nil {
		c.progress.report(StepVerify, c.total, c.total)
	}
	return err
}
