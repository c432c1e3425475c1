package simulator

import (
	"testing"
	"time"
)

// ratios are what the gateway's default must keep to in short runs of one seed: the time to the
// first token of 95 % of the calls, compared with others. The figures for longer runs are lower.
var ratios = []struct {
	workload   Workload
	leastConn  float64 // at most this much of least_conn's
	roundRobin float64
	bound      float64 // at most this much of a router's that knows the real caches
}{
	{Chat, .75, .80, 1.20},
	{RAG, .10, .10, 1.15},
	{Hot, .50, .55, 1.15},
	{Agent, .40, .40, 1.15},
	{Unique, .90, .90, 1.15},
	{SharedPrefix, 1, 1.05, 1.15},
	{LongContexts, .90, .90, 1.15},
	{Coding, .70, .70, 1.50},
	{Flood, 1, 1.05, 1.15},
	{SlowEngine, .75, .50, 1.30},
	{RestartedEngine, .75, .80, 1.25},
}

func TestTheDefaultPolicyIsAsGoodAsItClaims(t *testing.T) {
	for _, test := range ratios {
		config := brief(test.workload, 150*time.Second)
		got := Simulate(config, PrefixWork.Make)
		for _, other := range []struct {
			router Named
			most   float64
		}{{LeastConn, test.leastConn}, {RoundRobin, test.roundRobin}, {Bound, test.bound}} {
			result := Simulate(config, other.router.Make)
			ratio := float64(got.TTFT95) / float64(result.TTFT95)
			t.Logf("%s: %v, %s %v: ratio %.2f", test.workload.Name, got.TTFT95, other.router.Name, result.TTFT95, ratio)
			if ratio > other.most {
				t.Errorf("%s: p95 of the time to the first token is %v, %.2f of %s; at most %.2f",
					test.workload.Name, got.TTFT95, ratio, other.router.Name, other.most)
			}
		}
		if got.LongestIdle > 5*time.Second {
			t.Errorf("%s: an engine was idle for %v while another one had a queue", test.workload.Name, got.LongestIdle)
		}
	}
}

func TestSeveralGatewaysAgreeWithoutSharing(t *testing.T) {
	config := brief(RAG, 100*time.Second)
	one := Simulate(config, PrefixWork.Make)
	config.Gateways = 4
	four := Simulate(config, PrefixWork.Make)
	t.Logf("one gateway %v, four %v", one.TTFT95, four.TTFT95)
	if float64(four.TTFT95) > 1.5*float64(one.TTFT95) {
		t.Errorf("p95 of the time to the first token: %v behind one gateway, %v behind four", one.TTFT95, four.TTFT95)
	}
}
