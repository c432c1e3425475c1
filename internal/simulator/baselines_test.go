package simulator

import "testing"

// made returns a router for engines that do nothing.
func made(t *testing.T, router Named, engines int) Router {
	t.Helper()
	r := &Run{}
	for range engines {
		r.engines = append(r.engines, newEngine(H100))
	}
	return router.Make(r, 1)
}

func question(id uint64, tokens int) *Request {
	q := &Request{Session: id, Prompt: []Segment{{id, tokens, "user"}}, Output: 10}
	q.prepare()
	return q
}

func TestRandomChoiceKeepsTheBusierOneInHalfOfTheCases(t *testing.T) {
	router := made(t, RandomChoose, 2).(*counters)
	busier := 0
	for range 2000 {
		router.calls = []int{30, 3}
		if router.Route(question(1, 10)) == 0 {
			busier++
		}
	}
	if busier < 900 || busier > 1100 {
		t.Errorf("%d of 2000 went to the busier one", busier)
	}
}

func TestBoundedHashingLeavesItsEngineAtTheBound(t *testing.T) {
	router := made(t, CHWBL, 4)
	var calls [4]int
	for range 40 {
		calls[router.Route(question(7, 100))]++
	}
	for i, n := range calls {
		if n > 13 { // 1.25 of 40/4
			t.Errorf("engine %d has %d of 40 calls of one key", i, n)
		}
	}
}
