//go:build unix

package sqlitestore

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/penstockhq/penstock/ledger"
)

// fileLock is a lock on a file of its own beside the ledger. It is not on the
// ledger itself because SQLite's own locks there would be lost with our handle.
type fileLock struct{ file *os.File }

// lockFile takes the lock or says who else has it. The system frees it when the
// process dies.
func lockFile(path string) (*fileLock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ledger.ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return &fileLock{file: file}, nil
}

// release frees the lock. The file stays: removing it would let two processes hold
// locks on two files of the same name.
func (l *fileLock) release() error { return l.file.Close() }
