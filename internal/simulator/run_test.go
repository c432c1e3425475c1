package simulator

import (
	"testing"
	"time"
)

// brief returns the experiment of a workload with fewer calls.
func brief(w Workload, length time.Duration) Config {
	c := w.Config()
	c.Length = length
	if w.Restart {
		c.Restart = length / 2
	}
	return c
}

func TestARunIsDeterministicAndLosesNoCall(t *testing.T) {
	for _, workload := range []Workload{Chat, RestartedEngine} {
		config := brief(workload, 60*time.Second)
		one, two := Simulate(config, PrefixWork.Make), Simulate(config, PrefixWork.Make)
		one.ByOwner, two.ByOwner = nil, nil
		if one.TTFT95 != two.TTFT95 || one.Served != two.Served || one.Hit != two.Hit {
			t.Errorf("%s: %+v, then %+v", workload.Name, one, two)
		}
		if one.Calls < 100 || float64(one.Served) < .98*float64(one.Calls) {
			t.Errorf("%s: %d of %d calls were served", workload.Name, one.Served, one.Calls)
		}
	}
}

func TestRoutersGetTheSameSessions(t *testing.T) {
	config := brief(RAG, 30*time.Second)
	config.Rate = 5
	if one, two := Simulate(config, LeastConn.Make), Simulate(config, PrefixWork.Make); one.Calls != two.Calls {
		t.Errorf("%d calls for one, %d for another", one.Calls, two.Calls)
	}
}

func TestIdleEnginesBesideAQueueAreSeen(t *testing.T) {
	all := simple("first", func(*counters, *Request) int { return 0 })
	config := brief(RAG, 30*time.Second)
	if result := Simulate(config, all.Make); result.LongestIdle < 5*time.Second {
		t.Errorf("one of four engines does everything, and the others were idle for %v", result.LongestIdle)
	}
}
