package simulator

import (
	"container/list"
	"math"
)

// seen is what a router believes an engine has: the blocks that it sent there last, up to a
// size.
type seen struct {
	size   int
	blocks map[uint64]*list.Element
	order  list.List // of hashes, the latest in front
}

func newSeen(tokens int) *seen {
	return &seen{size: tokens / blockTokens, blocks: map[uint64]*list.Element{}}
}

// has returns how many tokens of a prompt are believed to be there.
func (s *seen) has(q *Request) int {
	for i, hash := range q.blocks {
		if s.blocks[hash] == nil {
			return i * blockTokens
		}
	}
	return len(q.blocks) * blockTokens
}

func (s *seen) add(q *Request) {
	for i := len(q.blocks) - 1; i >= 0; i-- { // the beginning is the latest: it goes last
		hash := q.blocks[i]
		if e := s.blocks[hash]; e != nil {
			s.order.MoveToFront(e)
			continue
		}
		s.blocks[hash] = s.order.PushFront(hash)
	}
	for s.order.Len() > s.size {
		delete(s.blocks, s.order.Remove(s.order.Back()).(uint64))
	}
}

// aware is a router that remembers what it sent where.
type aware struct {
	counters
	seen []*seen
}

// remembering makes a router that chooses by what is believed to be cached.
func remembering(name string, tokens int, choose func(a *aware, q *Request, cached []int) int) Named {
	return Named{name, func(run *Run, seed uint64) Router {
		a := &aware{counters: newCounters(run, seed)}
		for range run.Engines() {
			a.seen = append(a.seen, newSeen(tokens))
		}
		cached := make([]int, run.Engines())
		a.choose = func(q *Request) (int, int) {
			for i := range cached {
				cached[i] = a.seen[i].has(q)
			}
			i := choose(a, q, cached)
			a.seen[i].add(q)
			return i, q.Tokens - cached[i]
		}
		return a
	}}
}

// Restarted implements Watcher.
func (a *aware) Restarted(i int) { a.seen[i] = newSeen(a.seen[i].size * blockTokens) }

const (
	// llmdTokens is what llm-d's approximate index keeps for each engine.
	llmdTokens = 500_000
	// unlimited is an index that does not forget in the time of a run.
	unlimited = 1 << 30
)

// CacheAware is SGLang's: the engine with the longest match, if that is more than 0.3 of the
// prompt, else the one with the least load. Of several with the same match it is the first. If
// the calls in flight differ by more than 64 and by more than half, the engine with the fewest.
var CacheAware = remembering("cache_aware (SGLang)", unlimited, func(a *aware, q *Request, cached []int) int {
	up := a.up()
	least, most := math.MaxInt, 0
	for _, i := range up {
		least, most = min(least, a.calls[i]), max(most, a.calls[i])
	}
	if most-least > 64 && float64(most) > 1.5*float64(least) {
		return a.lowest(func(i int) float64 { return float64(a.calls[i]) })
	}
	best := up[0]
	for _, i := range up {
		if cached[i] > cached[best] {
			best = i
		}
	}
	if float64(cached[best]) > .3*float64(q.Tokens) {
		return best
	}
	return a.lowest(func(i int) float64 { return float64(a.calls[i]) })
})

// Sticky is llm-d's sticky until saturated: of the engines that have at least 0.8 of the prompt,
// the one with the least work, unless that is ahead of the least loaded of all by the tokens that
// an engine computes in the longest time to the first token.
var Sticky = remembering("sticky (llm-d)", llmdTokens, func(a *aware, q *Request, cached []int) int {
	const longest = 2 * 30.8e3
	work := func(i int) float64 { return float64(a.prefill[i] + q.Tokens - cached[i]) }
	coldest := a.lowest(work)
	warm := a.lowest(func(i int) float64 {
		if float64(cached[i]) < .8*float64(q.Tokens) {
			return math.Inf(1)
		}
		return work(i)
	})
	if float64(cached[warm]) >= .8*float64(q.Tokens) && work(warm)-work(coldest) <= longest {
		return warm
	}
	return coldest
})

// LMetric is the product of new prefill and batch size (arXiv 2603.15202), where the new prefill
// is what waits at the engine and what this prompt adds.
var LMetric = remembering("lmetric", llmdTokens, func(a *aware, q *Request, cached []int) int {
	return a.lowest(func(i int) float64 {
		return float64(a.prefill[i]+q.Tokens-cached[i]) * float64(a.calls[i]+1)
	})
})

// Dynamo is the cost of NVIDIA Dynamo's router: the blocks of prompts that wait, with this one's
// that are not cached, and the blocks that are in use, with this one's that are not among them.
var Dynamo = Named{"dynamo", func(run *Run, seed uint64) Router {
	inner := remembering("", unlimited, nil).Make(run, seed).(*aware)
	d := &dynamo{aware: inner, active: make([]map[uint64]int, run.Engines())}
	for i := range d.active {
		d.active[i] = map[uint64]int{}
	}
	d.choose = d.cheapest
	return d
}}

type dynamo struct {
	*aware
	active []map[uint64]int // calls that use a block, by its hash
}

func (d *dynamo) cheapest(q *Request) (int, int) {
	best := d.lowest(func(i int) float64 {
		fresh := 0
		for at := len(q.blocks) - 1; at >= 0 && d.active[i][q.blocks[at]] == 0; at-- {
			fresh++
		}
		open := float64(d.prefill[i]+q.Tokens-d.seen[i].has(q)) / blockTokens
		return open + float64(len(d.active[i])+fresh)
	})
	cached := d.seen[best].has(q)
	d.seen[best].add(q)
	for _, hash := range q.blocks {
		d.active[best][hash]++
	}
	return best, q.Tokens - cached
}

// Ended implements Router.
func (d *dynamo) Ended(q *Request) {
	d.aware.Ended(q)
	for _, hash := range q.blocks {
		if d.active[q.Engine][hash]--; d.active[q.Engine][hash] == 0 {
			delete(d.active[q.Engine], hash)
		}
	}
}

// DualMap hashes a prompt's beginning to two engines (arXiv 2602.06502). It takes the one that
// has more of the prompt as long as that is expected to meet the target, else the one that
// answers sooner. Calls that wait at an engine cannot be taken back by a gateway, so there is
// no migration.
var DualMap = remembering("dualmap", llmdTokens, func(a *aware, q *Request, cached []int) int {
	const target, rate = 1., 30.8e3
	key := mix(q.Prompt[0].ID ^ mix(firstUser(q)))
	if q.Prompt[0].Tokens >= 1024 {
		key = mix(q.Prompt[0].ID)
	}
	up := a.up()
	first, second := up[key%uint64(len(up))], up[mix(key)%uint64(len(up))]
	if first == second {
		second = up[(int(key%uint64(len(up)))+1)%len(up)]
	}
	expected := func(i int) float64 { return float64(a.prefill[i]+q.Tokens-cached[i]) / rate }
	warm, other := first, second
	if cached[second] > cached[first] || cached[second] == cached[first] && expected(second) < expected(first) {
		warm, other = second, first
	}
	if expected(warm) <= target || expected(warm) <= expected(other) {
		return warm
	}
	return other
})
