package testkit

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestABufferTakesWritesOfManyGoroutines(t *testing.T) {
	var buffer Buffer
	var writers sync.WaitGroup
	for range 10 {
		writers.Go(func() {
			for range 100 {
				_, _ = buffer.Write([]byte("line\n"))
				_ = buffer.String()
			}
		})
	}
	writers.Wait()
	if got := strings.Count(buffer.String(), "line\n"); got != 1000 {
		t.Errorf("%d lines, want 1000", got)
	}
}

func TestFreeAddressesDifferAndCanBeListenedOn(t *testing.T) {
	seen := map[string]bool{}
	for _, address := range FreeAddresses(t, 20) {
		if seen[address] {
			t.Errorf("%s comes twice", address)
		}
		seen[address] = true
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
	}
}

func TestEventuallyReturnsOnceTheConditionHolds(t *testing.T) {
	var done atomic.Bool
	time.AfterFunc(20*time.Millisecond, func() { done.Store(true) })
	if Eventually(t, "the timer fired", done.Load); !done.Load() {
		t.Error("the condition does not hold")
	}
}
