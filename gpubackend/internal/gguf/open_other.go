//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package gguf

import (
	"fmt"
	"os"
	"path/filepath"
)

// Open reads a file into memory and parses it.
func Open(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	file, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	file.Name = filepath.Base(path)
	return file, nil
}
