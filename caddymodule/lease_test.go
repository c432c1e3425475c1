package caddymodule

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestLeaseIsGivenBackAfterTheLastCall(t *testing.T) {
	released := 0
	l := newLease(func() { released++ })
	for range 2 {
		if !l.begin() {
			t.Fatal("a fresh lease refused a call")
		}
	}
	l.end()
	l.retire()
	if released != 0 {
		t.Fatal("the share was given back while a call ran")
	}
	if !l.begin() {
		t.Fatal("a late call was refused while the share was held")
	}
	l.end()
	l.end()
	if released != 1 {
		t.Fatalf("the share was given back %d times", released)
	}
	<-l.drained
	if l.begin() {
		t.Fatal("a call began after the share had been given back")
	}
	l.retire()
	if released != 1 {
		t.Fatal("retiring twice gave the share back twice")
	}
}

func TestLeaseIsGivenBackAtOnceWithoutCalls(t *testing.T) {
	released := 0
	l := newLease(func() { released++ })
	l.retire()
	if released != 1 || l.begin() {
		t.Fatalf("released %d times", released)
	}
}

func TestLeaseIsGivenBackOnceUnderConcurrentCalls(t *testing.T) {
	for range 200 {
		var released, running atomic.Int64
		l := newLease(func() {
			if running.Load() != 0 {
				t.Error("the share was given back while a call ran")
			}
			released.Add(1)
		})
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 50 {
					if l.begin() {
						running.Add(1)
						running.Add(-1)
						l.end()
					}
				}
			})
		}
		group.Go(l.retire)
		group.Wait()
		<-l.drained
		if released.Load() != 1 {
			t.Fatalf("the share was given back %d times", released.Load())
		}
	}
}
