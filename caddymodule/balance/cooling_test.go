package balance

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a time that a test sets.
type clock struct{ time time.Time }

func (c *clock) now() time.Time { return c.time }

func TestEachFailureDoublesTheWaitUpToALimit(t *testing.T) {
	at := &clock{time.Unix(1_000_000, 0)}
	c := NewCooling(time.Second, 5*time.Second, at.now)
	if !c.Ready() || !c.Take() {
		t.Fatal("an upstream that has not failed gets no call")
	}
	for _, wait := range []time.Duration{1, 2, 4, 5, 5} {
		c.Failed()
		at.time = at.time.Add(wait*time.Second - time.Millisecond)
		if c.Ready() || c.Take() {
			t.Fatalf("it gets a call before %d s have passed", wait)
		}
		at.time = at.time.Add(time.Millisecond)
		if !c.Ready() || !c.Take() {
			t.Fatalf("it gets no call after %d s", wait)
		}
	}
	c.Answered()
	if !c.Ready() || !c.Take() || !c.Take() {
		t.Error("it gets no calls after an answer")
	}
	c.Failed()
	at.time = at.time.Add(time.Second)
	if !c.Ready() {
		t.Error("an answer did not set the wait back")
	}
}

func TestABusyUpstreamGetsNoCallsForAsLongAsItSays(t *testing.T) {
	for said, want := range map[time.Duration]time.Duration{7 * time.Second: 7 * time.Second, time.Hour: 30 * time.Second} {
		at := &clock{time.Unix(1_000_000, 0)}
		c := NewCooling(time.Second, 30*time.Second, at.now)
		c.Failed()
		c.Busy(said)
		c.Answered() // a call that was running
		at.time = at.time.Add(want - time.Millisecond)
		if c.Ready() || c.Take() || c.Failing() {
			t.Errorf("busy for %s: ready %t, failing %t just before %s", said, c.Ready(), c.Failing(), want)
		}
		at.time = at.time.Add(time.Millisecond)
		if !c.Ready() || !c.Take() || !c.Take() {
			t.Errorf("busy for %s: no calls after %s", said, want)
		}
	}
	off := NewCooling(-1, 30*time.Second, time.Now)
	off.Busy(time.Hour)
	if !off.Ready() {
		t.Error("cool_down off: calls are kept away")
	}
}

func TestCallsThatFailTogetherCountOnce(t *testing.T) {
	at := &clock{time.Unix(1_000_000, 0)}
	c := NewCooling(time.Second, time.Minute, at.now)
	for range 100 {
		c.Failed()
	}
	at.time = at.time.Add(time.Second)
	if !c.Ready() {
		t.Error("failures of one moment lengthened the wait")
	}
}

func TestOneCallAtATimeFindsOutHowAnUpstreamIs(t *testing.T) {
	at := &clock{time.Unix(1_000_000, 0)}
	c := NewCooling(time.Second, time.Minute, at.now)
	c.Failed()
	at.time = at.time.Add(time.Second)
	var taken atomic.Int64
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if c.Take() {
				taken.Add(1)
			}
		})
	}
	group.Wait()
	if taken.Load() != 1 {
		t.Errorf("%d calls went to an upstream that had failed", taken.Load())
	}
	// The call tells nothing: its client left. The next one may try.
	at.time = at.time.Add(time.Second)
	if !c.Take() {
		t.Error("a call that told nothing keeps the others away forever")
	}
}

func TestWithoutACoolDownNothingWaits(t *testing.T) {
	c := NewCooling(0, time.Minute, time.Now)
	c.Failed()
	if !c.Ready() || !c.Take() {
		t.Error("it waits")
	}
}

func TestMemoryOfDynamicUpstreamsIsBounded(t *testing.T) {
	var c coolings
	for i := range 3 * maxCoolings {
		c.find(string(rune(i)))
	}
	if len(c.byAddress) > maxCoolings {
		t.Errorf("%d addresses are remembered", len(c.byAddress))
	}
	if first := c.find("a"); c.find("a") != first {
		t.Error("an address has two states")
	}
}
