// Package testkit holds what tests of several packages need: a buffer that several
// goroutines may use, loopback addresses that are free, a wait for a condition, packages
// from npm, and the built Caddy as a process.
package testkit

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"
)

// Buffer collects text, such as a log or a process's output, that a test reads while
// it is written. The zero value is empty. It is safe for concurrent use.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends text. It never fails.
func (b *Buffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

// String returns all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// FreeAddress returns an address of the loopback interface, as host:port, on which
// nothing listens now.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return FreeAddresses(t, 1)[0]
}

// FreeAddresses returns n different addresses as FreeAddress does.
func FreeAddresses(t testing.TB, n int) []string {
	t.Helper()
	addresses := make([]string, n)
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() // only when all are known, so that they differ
		addresses[i] = listener.Addr().String()
	}
	return addresses
}

// patience is how long Eventually waits.
const patience = 10 * time.Second

// Eventually waits until a condition holds that something in the background brings
// about, and ends the test if it does not within ten seconds. The text says what the
// test waits for.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}
