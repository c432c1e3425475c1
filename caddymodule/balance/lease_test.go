package balance

import (
	"sync"
	"testing"
)

func TestALeaseIsReturnedOnce(t *testing.T) {
	b := mustNew(t, servers(1), Options{})
	load := b.loads[0]
	state := func() [2]int64 { return [2]int64{load.prefill.Load(), load.calls.Load()} }
	_, first := must(t, b, Call{Prompt: make([]byte, 4000)}, fixedPool{})
	_, second := must(t, b, Call{Tokens: 500}, fixedPool{})
	if got := state(); got != [2]int64{1500, 2} {
		t.Fatalf("two calls count as %v", got)
	}
	first.FirstByte()
	first.FirstByte()
	if got := state(); got != [2]int64{500, 2} {
		t.Errorf("after the first byte: %v", got)
	}
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() { first.Release(0) })
	}
	group.Wait()
	if got := state(); got != [2]int64{500, 1} {
		t.Errorf("after one call: %v", got)
	}
	second.Release(0)
	second.FirstByte()
	if got := state(); got != [2]int64{} {
		t.Errorf("after all calls: %v", got)
	}
	new(Lease).Release(0) // holds nothing
}

func TestAPromptThatWasNotAnsweredIsNotCached(t *testing.T) {
	b := mustNew(t, servers(2), Options{})
	home, lease := must(t, b, Call{Prompt: chat("s", 100)}, fixedPool{})
	lease.FirstByte()
	lease.Release(0)
	longer := chat("s", 100, 100, 3000)
	i, lease := must(t, b, Call{Prompt: longer}, fixedPool{})
	if i != home {
		t.Fatal("the conversation has moved")
	}
	lease.Release(0) // without a first byte
	if _, lease := must(t, b, Call{Prompt: longer}, fixedPool{}); lease.prefill.Load() < 2900 {
		t.Errorf("%d tokens of work: what failed counts as cached", lease.prefill.Load())
	}
	if _, lease := must(t, b, Call{Prompt: longer}, fixedPool{}); lease.prefill.Load() > 3200 {
		t.Errorf("%d tokens of work: what was cached before is forgotten", lease.prefill.Load())
	}
}
