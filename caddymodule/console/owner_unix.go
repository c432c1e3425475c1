//go:build !windows

package console

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// giveToOwner gives a ledger's files that root has made to the owner of their directory,
// which is the user of the service. The ledger must be closed: closing a handle of a file
// drops the locks that SQLite holds on it.
func giveToOwner(file string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	folder, err := os.Stat(filepath.Dir(file))
	if err != nil {
		return err
	}
	owner, ok := folder.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	files, err := os.ReadDir(filepath.Dir(file))
	problems := []error{err}
	for _, entry := range files {
		// The ledger itself, and what its store keeps beside it.
		if strings.HasPrefix(entry.Name(), filepath.Base(file)) {
			name := filepath.Join(filepath.Dir(file), entry.Name())
			problems = append(problems, giveTo(name, int(owner.Uid), int(owner.Gid)))
		}
	}
	return errors.Join(problems...)
}

// giveTo gives a plain file of root's to a user. A link of any kind is left alone: who owns
// the directory could have made it to get a file from elsewhere.
func giveTo(name string, user, group int) error {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	facts, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || facts.Uid != 0 || facts.Nlink != 1 {
		return nil
	}
	return file.Chown(user, group)
}
