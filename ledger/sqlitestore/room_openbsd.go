package sqlitestore

import (
	"fmt"
	"path/filepath"
	"syscall"
)

// Room returns how many bytes the file system has free for us.
func (s *Store) Room() (int64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(s.path), &stat); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", filepath.Dir(s.path), err)
	}
	return int64(stat.F_bavail) * int64(stat.F_bsize), nil
}
