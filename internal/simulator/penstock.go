package simulator

import (
	"fmt"
	"math/rand/v2"

	"github.com/penstockhq/penstock/caddymodule/balance"
)

// gateway is the policy of this project: the code that runs in Caddy, with bytes as clients
// send them.
type gateway struct {
	run      *Run
	balancer *balance.Balancer
	buffer   []byte
	spare    []*balance.Lease
}

// Penstock makes a router of a strategy.
func Penstock(name string, options balance.Options, upstream func(run *Run, i int, u *balance.Upstream)) Named {
	return Named{name, func(run *Run, seed uint64) Router {
		options := options
		options.Gateways = run.config.Gateways
		options.State = balance.NewState()
		options.Random = rand.New(rand.NewPCG(seed, 4)).Uint64
		list := make([]balance.Upstream, run.Engines())
		for i := range list {
			list[i].Address = fmt.Sprintf("engine%d:8000", i)
			list[i].KVTokens = run.engines[i].hardware.KVTokens
			if upstream != nil {
				upstream(run, i, &list[i])
			}
		}
		balancer, err := balance.New(list, options)
		if err != nil {
			panic(err) // of the simulator's own making
		}
		return &gateway{run: run, balancer: balancer}
	}}
}

// PrefixWork is the gateway's default.
var PrefixWork = Penstock("prefix_work", balance.Options{}, nil)

// Available implements balance.Pool.
func (g *gateway) Available(i int) bool { return g.run.Up(i) }

// InFlight implements balance.Pool. The balancer counts by itself.
func (g *gateway) InFlight(int) int { return 0 }

// Route implements Router.
func (g *gateway) Route(q *Request) int {
	g.buffer = q.body(g.buffer)
	var lease *balance.Lease
	if n := len(g.spare); n > 0 {
		lease, g.spare = g.spare[n-1], g.spare[:n-1]
	} else {
		lease = new(balance.Lease)
	}
	q.note = lease
	i, ok := g.balancer.Choose(&balance.Call{Model: "m", Owner: q.Owner, Prompt: g.buffer}, g, lease)
	if !ok {
		panic("no engine is up")
	}
	return i
}

// FirstByte implements Router.
func (g *gateway) FirstByte(q *Request) { q.note.(*balance.Lease).FirstByte() }

// Ended implements Router.
func (g *gateway) Ended(q *Request) {
	lease := q.note.(*balance.Lease)
	output := int64(0)
	if q.Ended > 0 {
		output = int64(q.Output)
	}
	lease.Release(output)
	g.spare = append(g.spare, lease)
}

// Bound is the gateway's score with what the engines really have: no router can know it.
var Bound = Named{"bound: real caches", func(run *Run, seed uint64) Router {
	c := newCounters(run, seed)
	router := &c
	router.choose = func(q *Request) (int, int) {
		i := router.lowest(func(i int) float64 {
			n := float64(router.calls[i])
			open := float64(q.Tokens - run.Cached(i, q))
			return float64(router.prefill[i]) + open*(1+n/8) + 100*n
		})
		return i, q.Tokens - run.Cached(i, q)
	}
	return router
}}

// Ladder is everything that is compared, the gateway last.
func Ladder() []Named {
	return []Named{
		Random, RoundRobin, RandomChoose, LeastConn, SessionHash, LeastWork, CHWBL, CacheAware, Sticky, DualMap, LMetric, Dynamo,
		PrefixWork, Bound,
	}
}
