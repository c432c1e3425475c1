// Package replace writes files all or nothing.
package replace

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// File replaces a file by what write writes. Only the owner can read it. A reader, also
// one after a crash, finds the old content or the new one and never a part; once File
// has returned without an error, the new one.
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
	return SyncDirectory(filepath.Dir(name))
}

// SyncDirectory makes the names in a directory durable: a new or renamed file can be
// gone after a power cut without it. Windows needs no such thing and has none.
func SyncDirectory(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
