package simulator

import "testing"

func TestWhatWasSentLongestAgoIsForgotten(t *testing.T) {
	s := newSeen(20 * blockTokens)
	one, two, three := question(1, 10*blockTokens), question(2, 10*blockTokens), question(3, 5*blockTokens)
	s.add(one)
	s.add(two)
	s.add(three)
	if s.has(one) != 5*blockTokens || s.has(two) != 10*blockTokens || s.has(three) != 5*blockTokens {
		t.Errorf("%d, %d and %d tokens", s.has(one), s.has(two), s.has(three))
	}
}

func TestRoutersThatFollowCachesReturn(t *testing.T) {
	for _, router := range []Named{CacheAware, Sticky, LMetric, DualMap, Dynamo} {
		r := made(t, router, 4)
		home := -1
		for range 10 {
			q := question(5, 3000)
			q.Engine = r.Route(q)
			if home >= 0 && q.Engine != home {
				t.Errorf("%s left the engine that has the prompt, and nothing else to do", router.Name)
			}
			home = q.Engine
			r.FirstByte(q)
			r.Ended(q)
		}
	}
}

func TestStickyLeavesASaturatedEngine(t *testing.T) {
	r := made(t, Sticky, 2).(*aware)
	q := question(5, 3000)
	home := r.Route(q)
	q.Engine = home
	r.FirstByte(q)
	r.prefill[home] = 60_000 // less than what it computes in two seconds
	if again := question(5, 3000); r.Route(again) != home {
		t.Error("it leaves too early")
	}
	r.prefill[home] = 70_000
	if again := question(5, 3000); r.Route(again) == home {
		t.Error("it stays")
	}
}
