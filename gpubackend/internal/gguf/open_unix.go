//go:build linux || darwin || freebsd || netbsd || openbsd

package gguf

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Open maps a file into memory and parses it. Nothing but the header is read
// until a tensor is used. The file must not be truncated while it is open: the
// operating system kills a process that reads beyond the end of a mapped file.
func Open(path string) (*File, error) {
	handle, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	defer handle.Close()
	info, err := handle.Stat()
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("gguf: %s is not a regular file", path)
	}
	if info.Size() == 0 || int64(int(info.Size())) != info.Size() {
		return nil, fmt.Errorf("gguf: %s: cannot map %d bytes", path, info.Size())
	}
	data, err := syscall.Mmap(int(handle.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("gguf: map %s: %w", path, err)
	}
	file, err := Parse(data)
	if err != nil {
		syscall.Munmap(data)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	file.Name = filepath.Base(path)
	file.unmap = func() error { return syscall.Munmap(data) }
	return file, nil
}
