package balance

import (
	"fmt"
	"testing"
)

func TestConversationsThatBeginAlikeShareAnUpstreamUpToTheBound(t *testing.T) {
	b := mustNew(t, servers(4), Options{Strategy: StrategyPrefixHash})
	var got [4]int
	for range 100 {
		i, _ := must(t, b, Call{Prompt: chat("s", 100)}, fixedPool{})
		got[i]++
	}
	for i, calls := range got {
		if calls > 32 { // 1.25 of 100/4, rounded up
			t.Errorf("upstream %d has %d of 100 calls in flight", i, calls)
		}
	}
	calm := mustNew(t, servers(4), Options{Strategy: StrategyPrefixHash})
	homes := map[int]bool{}
	for n := range 40 {
		first, lease := must(t, calm, Call{Prompt: chat(fmt.Sprint(n), 100)}, fixedPool{})
		lease.Release(0)
		second, lease := must(t, calm, Call{Prompt: chat(fmt.Sprint(n), 100, 50, 70)}, fixedPool{})
		lease.Release(0)
		if first != second {
			t.Error("a conversation moves without a reason")
		}
		homes[first] = true
	}
	if len(homes) != 4 {
		t.Errorf("conversations use %d of 4 upstreams", len(homes))
	}
}

func TestASessionHasOneUpstream(t *testing.T) {
	b := mustNew(t, servers(4), Options{Strategy: StrategySession})
	homes := map[int]bool{}
	for n := range 40 {
		call := Call{Session: fmt.Sprint(n)}
		home, _ := must(t, b, call, fixedPool{})
		homes[home] = true
		call.Prompt = chat(fmt.Sprint(n*7), 100)
		if i, _ := must(t, b, call, fixedPool{inFlight: map[int]int{home: 99}}); i != home {
			t.Error("a session has moved")
		}
		if i, _ := must(t, b, call, fixedPool{down: map[int]bool{home: true}}); i == home {
			t.Error("a session waits for an upstream that is down")
		}
	}
	if len(homes) != 4 {
		t.Errorf("sessions use %d of 4 upstreams", len(homes))
	}
	one, _ := must(t, b, Call{Prompt: chat("x", 100)}, fixedPool{})
	if two, _ := must(t, b, Call{Prompt: chat("x", 100, 9, 9)}, fixedPool{}); one != two {
		t.Error("without a session, a conversation has moved")
	}
}
