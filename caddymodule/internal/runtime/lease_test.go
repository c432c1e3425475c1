package runtime

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// never says that nobody else holds a share.
func never() bool { return false }

func TestLateCallSharesWhatTheNextConfigurationHolds(t *testing.T) {
	pool := caddy.NewUsagePool()
	mine := new(Engine)
	mine.opening.Do(func() { mine.failure = errGone }) // there is nothing to close
	share := func() *Lease {
		pool.LoadOrNew("ledger", func() (caddy.Destructor, error) { return mine, nil })
		release := func() { pool.Delete("ledger") }
		return newLease(release, renewal(pool, "ledger", mine, release))
	}
	old, next := share(), share()
	old.Retire()
	if !old.Begin() {
		t.Fatal("a late call was refused although the next configuration holds the engine")
	}
	next.Retire()
	if !next.Begin() {
		t.Fatal("a call was refused while another ran")
	}
	next.End()
	old.End()
	if old.Begin() || next.Begin() {
		t.Fatal("a call began after the last share was given back")
	}
	pool.LoadOrStore("ledger", new(Engine))
	if old.Begin() {
		t.Fatal("a call began on an engine that was closed")
	}
	if refs, exists := pool.References("ledger"); !exists || refs != 1 {
		t.Fatalf("%d references to the engine of a later configuration, want 1", refs)
	}
}

func TestLeaseIsGivenBackAfterTheLastCall(t *testing.T) {
	released := 0
	l := newLease(func() { released++ }, never)
	for range 2 {
		if !l.Begin() {
			t.Fatal("a fresh lease refused a call")
		}
	}
	l.End()
	l.Retire()
	if released != 0 {
		t.Fatal("the share was given back while a call ran")
	}
	if !l.Begin() {
		t.Fatal("a late call was refused while the share was held")
	}
	l.End()
	l.End()
	if released != 1 {
		t.Fatalf("the share was given back %d times", released)
	}
	<-l.drained
	if l.Begin() {
		t.Fatal("a call began after the share had been given back")
	}
	l.Retire()
	if released != 1 {
		t.Fatal("retiring twice gave the share back twice")
	}
}

func TestLeaseIsGivenBackAtOnceWithoutCalls(t *testing.T) {
	released := 0
	l := newLease(func() { released++ }, never)
	l.Retire()
	if released != 1 || l.Begin() {
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
		}, never)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 50 {
					if l.Begin() {
						running.Add(1)
						running.Add(-1)
						l.End()
					}
				}
			})
		}
		group.Go(l.Retire)
		group.Wait()
		<-l.drained
		if released.Load() != 1 {
			t.Fatalf("the share was given back %d times", released.Load())
		}
	}
}
