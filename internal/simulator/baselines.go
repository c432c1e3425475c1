package simulator

import "math"

// Caddy's own policies, as reverse_proxy of v2.11 has them.
var (
	Random = simple("random", func(c *counters, _ *Request) int {
		up := c.up()
		return up[c.random.IntN(len(up))]
	})
	LeastConn = simple("least_conn", func(c *counters, _ *Request) int {
		return c.lowest(func(i int) float64 { return float64(c.calls[i]) })
	})
	// RandomChoose draws two and then looks for the one with fewer calls. What it keeps when it
	// finds fewer is a list that still holds the one with more, of which it draws one.
	RandomChoose = simple("random_choose 2", func(c *counters, _ *Request) int {
		up := c.up()
		if len(up) == 1 {
			return up[0]
		}
		first := c.random.IntN(len(up))
		second := (first + 1 + c.random.IntN(len(up)-1)) % len(up)
		a, b := up[min(first, second)], up[max(first, second)]
		if c.calls[a] < c.calls[b] || c.random.IntN(2) == 0 {
			return a
		}
		return b
	})
	// SessionHash is header, cookie or query with the id of the session.
	SessionHash = simple("session hash", func(c *counters, q *Request) int {
		return c.lowest(func(i int) float64 { return -float64(mix(q.Session^mix(uint64(i))) >> 11) })
	})
	RoundRobin = Named{"round_robin", func(run *Run, seed uint64) Router {
		c := newCounters(run, seed)
		router, next := &c, 0
		router.choose = func(q *Request) (int, int) {
			for {
				next++
				if i := next % len(router.calls); run.Up(i) {
					return i, q.Tokens
				}
			}
		}
		return router
	}}
)

// LeastWork takes the engine with the fewest tokens of prompts that wait there.
var LeastWork = simple("least outstanding work", func(c *counters, _ *Request) int {
	return c.lowest(func(i int) float64 { return float64(c.prefill[i]) + 100*float64(c.calls[i]) })
})

// CHWBL is consistent hashing with bounded loads as KubeAI documents it: a ring of 256 points
// for each engine, the key is the beginning of the first user message, and an engine takes at
// most 1.25 of the mean calls in flight.
var CHWBL = Named{"CHWBL (KubeAI)", func(run *Run, seed uint64) Router {
	const points, bound = 256, 1.25
	c := newCounters(run, seed)
	router := &c
	router.choose = func(q *Request) (int, int) {
		key := mix(firstUser(q))
		total := 1
		for _, calls := range router.calls {
			total += calls
		}
		most := int(math.Ceil(bound * float64(total) / float64(len(router.up()))))
		// The engines in the order in which the ring meets them after the key.
		nearest := make([]uint64, run.Engines())
		for i := range nearest {
			nearest[i] = math.MaxUint64
			for point := range uint64(points) {
				nearest[i] = min(nearest[i], mix(uint64(i)<<20|point)-key)
			}
		}
		best := -1
		for _, i := range router.up() {
			if router.calls[i]+1 <= most && (best < 0 || nearest[i] < nearest[best]) {
				best = i
			}
		}
		return best, q.Tokens
	}
	return router
}}

// firstUser returns the first segment that is not the system's.
func firstUser(q *Request) uint64 {
	for _, segment := range q.Prompt {
		if segment.Role != "system" {
			return segment.ID
		}
	}
	return q.Prompt[0].ID
}
