package sqlitestore

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Room returns how many bytes the file system has free for us.
func (s *Store) Room() (int64, error) {
	var stat unix.Statvfs_t
	if err := unix.Statvfs(filepath.Dir(s.path), &stat); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", filepath.Dir(s.path), err)
	}
	return int64(stat.Bavail) * int64(stat.Frsize), nil
}
