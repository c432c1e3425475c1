package balance

import (
	"sync/atomic"

	"github.com/penstockhq/penstock/caddymodule/balance/internal/prefix"
)

// Lease is what one call takes of an upstream: a place among its calls, and work until the
// first byte of the answer. [Balancer.Choose] fills it in and whoever runs the call returns it.
// The zero Lease holds nothing. It must not be copied while it holds something.
type Lease struct {
	load    *load
	state   *State
	prefill atomic.Int64 // tokens of work that are still counted
	open    atomic.Bool

	id      uint32 // of the upstream as a holder, at the time of the choice
	first   int    // the first boundary that the upstream had not seen before
	chained bool
	chain   prefix.Chain
	cached  []int32 // tokens of the prompt that each upstream has, -1: none; for the choice
}

// take counts a call at an upstream. work is the tokens of its prompt that are not cached there.
func (l *Lease) take(state *State, chosen *load, work int64) {
	l.state, l.load, l.id = state, chosen, chosen.id.Load()
	l.prefill.Store(work)
	chosen.prefill.Add(work)
	chosen.calls.Add(1)
	l.open.Store(true)
	now := uint32(chosen.inserted.Add(uint64(work)) / stampTokens)
	if !l.chained || l.id == 0 {
		return
	}
	tick := state.index.Tick()
	for i := range l.chain.Len() {
		state.index.Add(tick, l.chain.At(i).Hash, prefix.Holder{ID: uint16(l.id), Stamp: now})
	}
}

// FirstByte returns the work: the upstream has computed the prompt. Only the first time counts.
func (l *Lease) FirstByte() {
	if work := l.prefill.Swap(0); work != 0 {
		l.load.prefill.Add(-work)
	}
	l.chained = false
}

// Release returns everything. Only the first time counts. Without a first byte before, the
// upstream is not believed to have the prompt in its cache. An answer of so many tokens takes
// room there as well.
func (l *Lease) Release(outputTokens int64) {
	if !l.open.CompareAndSwap(true, false) {
		return
	}
	if l.chained {
		for i := l.first; i < l.chain.Len(); i++ {
			l.state.index.Remove(l.chain.At(i).Hash, uint16(l.id))
		}
	}
	l.FirstByte()
	l.load.inserted.Add(uint64(max(0, outputTokens)))
	l.load.calls.Add(-1)
}
