package simulator

import (
	"testing"
	"time"
)

// One prefix on two engines, where the first match decides.
func TestASharedPrefixDoesNotCrowdOneEngine(t *testing.T) {
	config := brief(SharedPrefix, 100*time.Second)
	sglang, roundRobin, own := Simulate(config, CacheAware.Make), Simulate(config, RoundRobin.Make), Simulate(config, PrefixWork.Make)
	if float64(sglang.TTFT95) < 1.2*float64(roundRobin.TTFT95) {
		t.Errorf("the trap is none: cache_aware %v, round robin %v", sglang.TTFT95, roundRobin.TTFT95)
	}
	if float64(own.TTFT95) > 1.05*float64(roundRobin.TTFT95) {
		t.Errorf("prefix_work %v, round robin %v", own.TTFT95, roundRobin.TTFT95)
	}
}
