package sqlitestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/penstockhq/penstock/ledger"
)

// remember notes which files are in use: the ledger and its write-ahead log, which
// keeps its name until the store is closed.
func (s *Store) remember() error {
	s.inUse = map[string]os.FileInfo{}
	for _, name := range []string{s.path, s.path + "-wal"} {
		info, err := s.stat(name)
		if err != nil {
			return err
		}
		s.inUse[name] = info
	}
	return nil
}

// InPlace compares the files that are in use with those that have their names now. An
// error that wraps ledger.ErrReplaced says that the next process would find others; any
// other error says nothing of the files.
func (s *Store) InPlace() error {
	for name, used := range s.inUse {
		now, err := s.stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return fmt.Errorf("%w: %s is gone", ledger.ErrReplaced, name)
		case err != nil:
			return err
		case !os.SameFile(used, now):
			return fmt.Errorf("%w: %s is another file", ledger.ErrReplaced, name)
		case now.Size() == 0 && used.Size() > 0 && name == s.path:
			return fmt.Errorf("%w: %s was emptied", ledger.ErrReplaced, name)
		}
	}
	return nil
}
