package balance

import (
	"errors"
)

// Options are the properties of a Balancer. The zero Options are the defaults.
type Options struct {
	// Strategy is how to choose. Default: StrategyPrefixWork.
	Strategy Strategy
	// Seed of the hashes of prompts. Gateways that share upstreams need the same one.
	Seed uint64
	// Gateways is how many share these upstreams. With more than one, they agree on where
	// prompts belong that another one may have routed before. Default: 1.
	Gateways int
	// SharePrompts treats prompts of different owners that are equal as one. By default they
	// are kept apart, as servers do that keep caches by a salt.
	SharePrompts bool
	// State is what is known about the upstreams. Default: nothing.
	State *State
	// Random returns uniform random numbers and is safe for concurrent use. Default: those of
	// math/rand/v2.
	Random func() uint64
}

// Balancer chooses upstreams for calls. It is safe for concurrent use.
type Balancer struct {
	upstreams []Upstream
	options   Options
	weighted  *Weighted
	loads     []*load
	speeds    []float64       // weights, the largest is 1
	places    [maxSlots]int16 // of the upstreams in the list by slot, plus 1
}

// errAllDrained says that a configuration serves no call at all.
var errAllDrained = errors.New("every upstream has the weight 0: no call could go anywhere")

// New prepares the choice among a fixed list of upstreams. It fails if an upstream or an option
// is not valid.
func New(upstreams []Upstream, options Options) (*Balancer, error) {
	if err := options.Strategy.Validate(); err != nil {
		return nil, err
	}
	if options.Strategy == "" {
		options.Strategy = StrategyPrefixWork
	}
	if options.State == nil {
		options.State = NewState()
	}
	weighted, err := newWeighted(upstreams, options.Random)
	if err != nil {
		return nil, err
	}
	b := &Balancer{
		upstreams: upstreams, options: options, weighted: weighted,
		loads: make([]*load, len(upstreams)), speeds: make([]float64, len(upstreams)),
	}
	most := 0
	for i := range upstreams {
		most = max(most, upstreams[i].weight())
	}
	if most == 0 && len(upstreams) > 0 {
		return nil, errAllDrained
	}
	for i := range upstreams {
		b.loads[i] = options.State.find(upstreams[i].Address)
		b.speeds[i] = float64(upstreams[i].weight()) / float64(most)
	}
	for i, load := range b.loads {
		if id := load.id.Load(); id != 0 {
			b.places[id&slotMask] = int16(i + 1)
		}
	}
	return b, nil
}

// Choose returns the index of an upstream for a call and counts the call there until the lease
// is released. It returns false, and leaves the lease as it is, if no upstream that serves the
// model is available. An upstream whose slots are all in use is chosen only if all are.
func (b *Balancer) Choose(call *Call, pool Pool, lease *Lease) (int, bool) {
	members := b.weighted.draw(call.Model)
	lease.chained, lease.first = false, 0
	var chosen int
	var ok bool
	work := call.promptTokens()
	switch b.options.Strategy {
	case StrategyWeightedRandom:
		chosen, ok = b.weighted.Pick(call.Model, pool)
	case StrategyP2C:
		chosen, ok = b.lesserOfTwo(call, pool)
	case StrategySession:
		chosen, ok = b.ofSession(members, call, pool, lease)
	case StrategyPrefixHash:
		chosen, ok = b.ofPrefix(members, call, pool, lease)
	case StrategyLeastWork:
		chosen, ok = b.leastWork(members, call, pool)
	default:
		if len(call.Prompt) == 0 {
			chosen, ok = b.leastWork(members, call, pool)
			break
		}
		chosen, work, ok = b.prefixWork(members, call, pool, lease)
	}
	if ok {
		lease.take(b.options.State, b.loads[chosen], work)
	}
	return chosen, ok
}

// inFlight returns how many calls an upstream runs: those of this gateway, and if the pool
// knows of more, those.
func (b *Balancer) inFlight(i int, pool Pool) int {
	return max(int(b.loads[i].calls.Load()), pool.InFlight(i))
}
