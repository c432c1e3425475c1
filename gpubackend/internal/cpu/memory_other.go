//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package cpu

import (
	"fmt"
	"math"
	"unsafe"
)

// allocate returns size zero bytes, aligned to 64.
func allocate(size int) ([]byte, error) {
	if size < 0 || size > math.MaxInt-64 {
		return nil, fmt.Errorf("allocate %d bytes: out of range", size)
	}
	memory := make([]byte, size+63)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(memory))) & 63
	return memory[skip:][:size:size], nil
}

func release([]byte) error { return nil }
