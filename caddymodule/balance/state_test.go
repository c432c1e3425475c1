package balance

import (
	"fmt"
	"testing"
)

func TestUpstreamsAreRememberedByAddress(t *testing.T) {
	s := NewState()
	a := s.find("a:1")
	if s.find("a:1") != a || s.find("b:1") == a {
		t.Error("an address has two loads, or two addresses one")
	}
	for i := range 3 * maxSlots {
		s.find(fmt.Sprint(i))
	}
	if len(s.byAddress) >= maxSlots || len(s.order) >= maxSlots {
		t.Errorf("%d addresses are remembered", len(s.byAddress))
	}
	seen := map[uint32]bool{}
	for _, load := range s.byAddress {
		id := load.id.Load()
		if id == 0 || id >= 1<<16 || seen[id&slotMask] {
			t.Fatalf("the id %d is used twice or no id", id)
		}
		seen[id&slotMask] = true
	}
	if a.id.Load() != 0 {
		t.Error("an address that was forgotten still stands for another one")
	}
}

func TestARestartedUpstreamHoldsNothing(t *testing.T) {
	b := mustNew(t, servers(2), Options{})
	prompt := chat("s", 2000)
	home, lease := must(t, b, Call{Prompt: prompt}, fixedPool{})
	lease.FirstByte()
	lease.Release(0)
	for range 60 { // generations begin again after 64
		b.loads[home].restarted()
		i, lease := must(t, b, Call{Prompt: prompt}, fixedPool{inFlight: map[int]int{home: 20}})
		if i == home {
			t.Fatal("a restarted upstream attracts its old prompts")
		}
		lease.Release(0)
	}
}
