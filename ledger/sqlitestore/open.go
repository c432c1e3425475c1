package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	_ "modernc.org/sqlite" // the driver named sqlite

	"github.com/penstockhq/penstock/ledger"
)

// FileName is the name of the ledger's file inside its directory.
const FileName = "ledger.db"

// smallestFile is one page of the smallest size that SQLite has.
const smallestFile = 512

// Store is a ledger.Store in a SQLite file. One process at a time has it open.
type Store struct {
	path string
	lock *fileLock

	saving  sync.Mutex // one snapshot at a time; taken before writing
	writing sync.Mutex // one transaction at a time
	writer  *writer
	readers *sql.DB

	stat  func(name string) (os.FileInfo, error) // os.Stat, but for tests
	inUse map[string]os.FileInfo                 // the files that are in use, by name
}

// ErrForeign says that a file is not a ledger.
var ErrForeign = errors.New("file is not a ledger")

// ErrNewer says that a newer version of the program wrote the file.
var ErrNewer = errors.New("ledger was written by a newer version")

// Open opens the ledger in a directory, or in the file itself if path ends in .db,
// .sqlite or .sqlite3. It makes directories (mode 0700) and the file (mode 0600) where
// they do not exist, and brings an older schema up to date.
//
// Its errors name the file and wrap ledger.ErrLocked, ErrForeign, ErrNewer, ErrLost,
// ledger.ErrCorrupt or the system's error.
func Open(ctx context.Context, path string) (*Store, error) {
	file, err := prepare(path)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	lock, err := lockFile(file + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", file, err)
	}
	s := &Store{path: file, lock: lock, stat: os.Stat}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", file, errors.Join(err, s.Close()))
	}
	return s, nil
}

// OpenReader opens an existing ledger for reading, also while another process has it
// open. Methods that write fail. The file is not changed, so an older schema is an error
// and not brought up to date. Other errors are those of Open.
func OpenReader(ctx context.Context, path string) (*Store, error) {
	file := FilePath(path)
	s := &Store{path: file}
	err := s.openReader(ctx)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", file, errors.Join(err, s.Close()))
	}
	return s, nil
}

func (s *Store) openReader(ctx context.Context) (err error) {
	if err := refuseLoss(s.path); err != nil {
		return err
	}
	if _, err := os.Stat(s.path); err != nil {
		return err
	}
	if s.readers, err = openReaders(s.path); err != nil {
		return err
	}
	version, err := checkFile(ctx, s.readers)
	if err != nil {
		return plain(err)
	}
	if err := s.refuseBlank(version); err != nil {
		return err
	}
	if version < int64(len(migrations)) {
		return fmt.Errorf("its schema is version %d, this program reads version %d: start the program once to bring it up to date",
			version, len(migrations))
	}
	return nil
}

// FilePath returns the file that Open uses for a path: the path itself if it ends in
// .db, .sqlite or .sqlite3, and FileName in that directory otherwise.
func FilePath(path string) string {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".db", ".sqlite", ".sqlite3":
		return path
	}
	return filepath.Join(path, FileName)
}

// prepare makes the directory and the file before SQLite does, which would give the
// file the permissions of the umask. SQLite gives its side files those of the main file.
func prepare(path string) (string, error) {
	file := FilePath(path)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	if err := refuseLoss(file); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	handle, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	// Closing this handle is safe only because SQLite has not opened the file yet:
	// POSIX drops all locks of a process on a file when any handle of it is closed.
	info, err := handle.Stat()
	if err = errors.Join(err, handle.Close()); err != nil {
		return "", err
	}
	// SQLite takes a file that is too short to be a database for an empty one.
	if size := info.Size(); size > 0 && size < smallestFile {
		return "", fmt.Errorf("%w: %s has %d bytes", ErrForeign, file, size)
	}
	return file, nil
}

// open connects the writer and the readers, and brings the file up to date.
func (s *Store) open(ctx context.Context) error {
	if _, err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return plain(err)
	}
	if err := s.mark(); err != nil {
		return err
	}
	if err := s.writer.prepare(ctx); err != nil {
		return err
	}
	return s.remember()
}

// connect connects the writer and the readers. It returns the schema's version.
func (s *Store) connect(ctx context.Context) (version int64, err error) {
	// The readers look first: a file that is not ours must not be changed.
	if s.readers, err = openReaders(s.path); err != nil {
		return 0, err
	}
	if version, err = checkFile(ctx, s.readers); err != nil {
		return 0, plain(err)
	}
	if err := s.refuseBlank(version); err != nil {
		return 0, err
	}
	if err := os.Chmod(s.path, 0o600); err != nil {
		return 0, err
	}
	s.writer, err = openWriter(ctx, dataSource(s.path, "rwc",
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(4000)"))
	if err != nil {
		s.writer = nil
		return 0, plain(err)
	}
	return version, nil
}

// openReaders connects a small pool that cannot write. In WAL mode its readers
// and the writer do not wait for each other.
func openReaders(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dataSource(path, "rw", "busy_timeout(10000)", "query_only(1)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	return db, nil
}

// dataSource is the driver's name for a file.
func dataSource(path, mode string, pragmas ...string) string {
	query := url.Values{"mode": {mode}, "_pragma": pragmas}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: query.Encode()}).String()
}

// plain wraps SQLite's errors about unusable files in ErrForeign or ledger.ErrCorrupt.
func plain(err error) error {
	if text := err.Error(); strings.Contains(text, "file is not a database") {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	if text := err.Error(); strings.Contains(text, "malformed") {
		return fmt.Errorf("%w: %w", ledger.ErrCorrupt, err)
	}
	return err
}

// Close closes the file and releases its lock. It may be called twice. What was appended
// is durable already.
func (s *Store) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	var problems []error
	if s.readers != nil {
		problems = append(problems, s.readers.Close())
	}
	if s.writer != nil {
		problems = append(problems, s.writer.close())
	}
	s.writer = nil // the readers stay: closed, they say so themselves
	if s.lock != nil {
		problems = append(problems, s.lock.release())
	}
	s.lock = nil
	return errors.Join(problems...)
}
