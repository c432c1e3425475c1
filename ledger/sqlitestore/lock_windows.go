package sqlitestore

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/windows"

	"github.com/penstockhq/penstock/ledger"
)

// fileLock is an open file that nobody else may open.
type fileLock struct{ handle windows.Handle }

// lockFile opens the file for this process alone, or says that another one has it.
// The system closes it when the process dies.
func lockFile(path string) (*fileLock, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	const shareWithNobody = 0
	handle, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, shareWithNobody, nil,
		windows.OPEN_ALWAYS, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		err = ledger.ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &fileLock{handle: handle}, nil
}

// release frees the lock.
func (l *fileLock) release() error { return windows.CloseHandle(l.handle) }

// Room returns how many bytes the volume has free for us.
func (s *Store) Room() (int64, error) {
	directory := filepath.Dir(s.path)
	name, err := windows.UTF16PtrFromString(directory)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", directory, err)
	}
	return int64(min(free, 1<<62)), nil
}
