// Package replace writes files all or nothing.
package replace

import (
	"errors"
	"os"
	"path/filepath"
)

// File replaces a file by what write writes. Only the owner can read it. A reader, also
// one after a crash, finds the old content or the new one and never a part.
func File(name string, write func(*os.File) error) error {
	file, err := os.CreateTemp(filepath.Dir(name), ".new-*") // with mode 0600
	if err != nil {
		return err
	}
	err = errors.Join(write(file), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
