package simulator

import (
	"math/rand/v2"
)

// Router sends calls to engines, as a gateway does. It learns of its own calls only.
type Router interface {
	// Route returns the engine for a call.
	Route(q *Request) int
	// FirstByte says that the first token of a call arrived.
	FirstByte(q *Request)
	// Ended says that a call is over.
	Ended(q *Request)
}

// Watcher is a Router that learns when an engine was started anew.
type Watcher interface{ Restarted(engine int) }

// Named is a way to make a router.
type Named struct {
	Name string
	Make func(run *Run, seed uint64) Router
}

// counters are what a gateway counts of its own calls.
type counters struct {
	run     *Run
	random  *rand.Rand
	calls   []int // in flight
	prefill []int // tokens of prompts without an answer that were not cached, as the router saw it
	choose  func(q *Request) (engine, uncached int)
}

func newCounters(run *Run, seed uint64) counters {
	n := run.Engines()
	return counters{
		run: run, random: rand.New(rand.NewPCG(seed, 3)), calls: make([]int, n), prefill: make([]int, n),
	}
}

// pending is the work that a call still counts for.
type pending struct{ prefill int }

// Route implements Router.
func (c *counters) Route(q *Request) int {
	i, uncached := c.choose(q)
	c.calls[i]++
	c.prefill[i] += uncached
	q.note = &pending{prefill: uncached}
	return i
}

// FirstByte implements Router.
func (c *counters) FirstByte(q *Request) {
	p := q.note.(*pending)
	c.prefill[q.Engine] -= p.prefill
	p.prefill = 0
}

// Ended implements Router.
func (c *counters) Ended(q *Request) {
	p := q.note.(*pending)
	c.calls[q.Engine]--
	c.prefill[q.Engine] -= p.prefill
	p.prefill = 0
}

// lowest returns the engine with the lowest score, one of them at random.
func (c *counters) lowest(score func(i int) float64) int {
	best, found, ties := 0, 0., 0
	for i := range c.calls {
		if !c.run.Up(i) {
			continue
		}
		switch s := score(i); {
		case ties == 0 || s < found:
			best, found, ties = i, s, 1
		case s == found:
			if ties++; c.random.IntN(ties) == 0 {
				best = i
			}
		}
	}
	return best
}

// up returns the engines that take calls.
func (c *counters) up() []int {
	var list []int
	for i := range c.calls {
		if c.run.Up(i) {
			list = append(list, i)
		}
	}
	return list
}

// simple makes a router that chooses by counters alone.
func simple(name string, choose func(c *counters, q *Request) int) Named {
	return Named{name, func(run *Run, seed uint64) Router {
		c := newCounters(run, seed)
		router := &c
		router.choose = func(q *Request) (int, int) { return choose(router, q), q.Tokens }
		return router
	}}
}
