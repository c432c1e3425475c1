//go:build linux || darwin || freebsd || netbsd || openbsd

package cpu

import (
	"fmt"
	"syscall"
)

// allocate returns size zero bytes, page-aligned, outside the Go heap: weights
// and KV pages live as long as the engine, and inside the heap they would let it
// grow by as much again before the collector ran. Pages take real memory only
// when they are first written.
func allocate(size int) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	memory, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("allocate %d bytes: %w", size, err)
	}
	return memory, nil
}

func release(memory []byte) error {
	if len(memory) == 0 {
		return nil
	}
	return syscall.Munmap(memory)
}
