package simulator

import (
	"math"
	"time"
)

// Traps lists workloads in which routers that follow caches have been worse than those that know
// nothing.
func Traps() []Workload {
	return []Workload{SharedPrefix, LongContexts, Coding, Flood, SlowEngine, RestartedEngine}
}

// SharedPrefix is one application on two engines: whoever follows the match finds it on one.
var SharedPrefix = Workload{Name: "one shared prefix", Rate: 9, Engines: []Hardware{H100, H100}, Start: func(r *Run) {
	ids := uint64(0)
	r.arrivals(r.config.Rate, 1, func() {
		ids++
		s := &session{
			run: r, id: ids, owner: "one", turns: 1, prompt: []Segment{systemOf(5, 0, 4000)},
			user: aboutTokens(math.Log(1500), .4), output: outputOf,
		}
		s.begin()
	})
}}

// LongContexts is conversations of one application that together do not fit into one engine's
// cache: keeping all of them on one makes it forget each before it goes on.
var LongContexts = Workload{Name: "one sticky engine", Rate: .25, Start: func(r *Run) {
	ids := uint64(0)
	r.arrivals(r.config.Rate, 1, func() {
		ids++
		s := &session{
			run: r, id: ids, owner: "one", turns: 12, prompt: []Segment{systemOf(6, 0, 2000), {mix(ids ^ 6<<40), 14_000, "user"}},
			user: aboutTokens(math.Log(700), .5), output: aboutTokens(math.Log(200), .5), pause: thinks(6 * time.Second),
		}
		s.begin()
	})
}}

// Coding is coding agents: of what one sends 86 % is cached at best, and each of its turns
// is 7.8 calls, with people between them.
var Coding = Workload{Name: "coding agent", Rate: .22, Start: func(r *Run) {
	const callsPerTurn = 7.8
	ids := uint64(0)
	r.arrivals(r.config.Rate, 1, func() {
		ids++
		turns := geometric(r.random, 3)
		calls := 0
		for range turns {
			calls += geometric(r.random, callsPerTurn)
		}
		s := &session{
			run: r, id: ids, owner: app(int(ids % 3)), turns: calls, prompt: []Segment{systemOf(7, ids%3, 6000)},
			user: aboutTokens(math.Log(1500), .7), output: aboutTokens(math.Log(140), .7),
		}
		s.pause = thinks(2 * time.Second)
		s.begin()
	})
}}

// Flood is 20 accounts, and one that sends four times as much as all of them together.
var Flood = Workload{Name: "flood", Rate: 8, Start: func(r *Run) {
	ids := uint64(0)
	start := func(owner string) {
		ids++
		s := &session{run: r, id: ids, owner: owner, turns: 1, user: aboutTokens(math.Log(1200), .6), output: outputOf}
		s.begin()
	}
	r.arrivals(r.config.Rate, 1, func() { start(app(int(ids % 20))) })
	r.arrivals(4*r.config.Rate, 1, func() { start("flood") })
}}

// SlowEngine is Chat with one engine that takes three times as long. Nobody tells the router.
var SlowEngine = Workload{
	Name: "slow engine", Rate: 5.5, Engines: []Hardware{H100, H100, H100, H100.Slower(3)}, Start: Chat.Start,
}

// RestartedEngine is Chat, and an engine that is away for 20 seconds and comes back with an empty
// cache.
var RestartedEngine = Workload{Name: "restarted engine", Rate: 5.5, Restart: true, Start: Chat.Start}
