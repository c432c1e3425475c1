package balance

import (
	"sync"
	"time"

	"github.com/penstockhq/penstock/middleware"
)

// restartTime is how long an upstream must have failed to be taken for one that was started
// anew, with an empty cache. Loading a model takes longer.
const restartTime = 5 * time.Second

// attempt is one call at one upstream, from the choice to its end. It is the Pool of the choice,
// and the gate tells it how the call goes.
type attempt struct {
	Lease
	pool    Pool
	cooling []*Cooling // of the pool's upstreams
	chosen  int
	mode    mode
	except  int // an upstream that has just failed, -1: none
}

// mode is which upstreams may take the call.
type mode uint8

const (
	ready  mode = iota // those that do not cool down
	others             // all but the one that has just failed
	all
)

// memory is attempts that are over: each holds the hashes of a prompt.
var memory = sync.Pool{New: func() any { return new(attempt) }}

func newAttempt(pool Pool, cooling []*Cooling) *attempt {
	a := memory.Get().(*attempt)
	a.pool, a.cooling, a.chosen, a.except, a.mode = pool, cooling, -1, -1, ready
	return a
}

// Available implements Pool.
func (a *attempt) Available(i int) bool {
	switch a.mode {
	case ready:
		return a.cooling[i].Ready() && a.pool.Available(i)
	case others:
		return i != a.except && a.pool.Available(i)
	default:
		return a.pool.Available(i)
	}
}

// InFlight implements Pool.
func (a *attempt) InFlight(i int) int { return a.pool.InFlight(i) }

// Answered implements middleware.UpstreamObserver.
func (a *attempt) Answered() {
	if a.cooling[a.chosen].answered() >= restartTime {
		a.load.restarted()
	}
}

// Failed implements middleware.UpstreamObserver.
func (a *attempt) Failed() { a.cooling[a.chosen].Failed() }

// Busy implements middleware.UpstreamObserver.
func (a *attempt) Busy(wait time.Duration) { a.cooling[a.chosen].Busy(wait) }

// Release implements middleware.UpstreamLease. The attempt then serves another call.
func (a *attempt) Release(outputTokens int64) {
	a.Lease.Release(outputTokens)
	a.pool, a.cooling = nil, nil
	memory.Put(a)
}

// choice is a Balancer with what its upstreams have to say about failures.
type choice struct {
	balancer *Balancer
	cooling  []*Cooling
}

// choose chooses among the upstreams that do not cool down. If none is left it is better
// to try one that does than to refuse the call, and better another one than that which
// has just failed.
func (c *choice) choose(call *Call, a *attempt, failed string) (int, bool) {
	for range len(c.cooling) {
		i, ok := c.balancer.Choose(call, a, &a.Lease)
		if !ok {
			break
		}
		if c.cooling[i].Take() {
			a.chosen = i
			return i, true
		}
		a.Lease.Release(0) // another call has just gone to find out how it is
	}
	if failed != "" {
		for i := range c.balancer.upstreams {
			if c.balancer.upstreams[i].Address == failed {
				a.except = i
			}
		}
		a.mode = others
		if i, ok := c.balancer.Choose(call, a, &a.Lease); ok {
			a.chosen = i
			return i, true
		}
	}
	a.mode = all
	i, ok := c.balancer.Choose(call, a, &a.Lease)
	a.chosen = i
	return i, ok
}

// keepsPrompts says whether servers keep the prompts of an operation for later ones.
func keepsPrompts(operation string) bool {
	switch operation {
	case "chat", "completions", "execute", "generate", "infer", "messages", "responses":
		return true
	}
	return false
}

// Interface guards
var (
	_ middleware.UpstreamLease = (*attempt)(nil)
	_ Pool                     = (*attempt)(nil)
)
