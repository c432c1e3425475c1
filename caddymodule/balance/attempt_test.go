package balance

import (
	"testing"
	"time"
)

// choices returns a choice among upstreams whose failures have a clock of the test's.
func choices(t *testing.T, n int, at *clock) *choice {
	t.Helper()
	c := &choice{balancer: mustNew(t, servers(n), Options{})}
	for range n {
		c.cooling = append(c.cooling, NewCooling(time.Second, time.Minute, at.now))
	}
	return c
}

func TestAnAttemptAvoidsWhatFailed(t *testing.T) {
	at := &clock{time.Unix(1_000_000, 0)}
	c := choices(t, 3, at)
	c.cooling[0].Failed()
	try := func(failed string) int {
		a := newAttempt(fixedPool{inFlight: map[int]int{1: 5, 2: 5}}, c.cooling)
		i, ok := c.choose(&Call{Tokens: 1000}, a, failed)
		if !ok {
			t.Fatal("no upstream")
		}
		a.Release(0)
		return i
	}
	for range 50 {
		if try("") == 0 {
			t.Fatal("an upstream that cools down got a call")
		}
	}
	c.cooling[1].Failed()
	c.cooling[2].Failed()
	for range 50 {
		if i := try("b:1"); i == 1 {
			t.Fatal("a call goes back to where it has just failed")
		}
	}
	for i, load := range c.balancer.loads {
		if load.calls.Load() != 0 || load.prefill.Load() != 0 {
			t.Errorf("upstream %d: %d calls and %d tokens are left", i, load.calls.Load(), load.prefill.Load())
		}
	}
}

func TestALongFailureEmptiesTheCacheAndAShortOneDoesNot(t *testing.T) {
	for _, down := range []time.Duration{restartTime - time.Second, restartTime} {
		at := &clock{time.Unix(1_000_000, 0)}
		c := choices(t, 1, at)
		before := c.balancer.loads[0].id.Load()
		attempt := func() *attempt {
			a := newAttempt(fixedPool{}, c.cooling)
			if _, ok := c.choose(&Call{}, a, ""); !ok {
				t.Fatal("no upstream")
			}
			return a
		}
		a := attempt()
		a.Failed()
		a.Release(0)
		at.time = at.time.Add(down)
		a = attempt()
		a.Answered()
		a.Release(0)
		if emptied := c.balancer.loads[0].id.Load() != before; emptied != (down >= restartTime) {
			t.Errorf("after %v: emptied %v", down, emptied)
		}
	}
}

func TestABusyUpstreamGetsNoAttempt(t *testing.T) {
	at := &clock{time.Unix(1_000_000, 0)}
	c := choices(t, 2, at)
	a := newAttempt(fixedPool{}, c.cooling)
	busy, ok := c.choose(&Call{}, a, "")
	if !ok {
		t.Fatal("no upstream")
	}
	a.Busy(time.Second)
	a.Release(0)
	for range 20 {
		a := newAttempt(fixedPool{}, c.cooling)
		if i, _ := c.choose(&Call{}, a, ""); i == busy {
			t.Fatal("an upstream that said that it is busy got a call")
		}
		a.Release(0)
	}
}

func TestOperationsWithoutACacheHaveNoPrompt(t *testing.T) {
	for operation, want := range map[string]bool{"chat": true, "messages": true, "embeddings": false, "rerank": false, "images": false} {
		if got := keepsPrompts(operation); got != want {
			t.Errorf("%s: %v", operation, got)
		}
	}
}
