package balance

import (
	"math"

	"github.com/penstockhq/penstock/caddymodule/balance/internal/prefix"
)

// What a score is made of, in tokens. Simulations are flat around these values.
const (
	// callCost is what each call in flight costs another one, in tokens of work.
	callCost = 100
	// batchCalls calls in flight double what a token of work costs: it runs between theirs.
	batchCalls = 8
	// coldCost is added for an upstream that may have to load the model first.
	coldCost = 8000
	// tieTokens is what several gateways prefer the owner of a conversation by.
	tieTokens = 1000
	// ownedShare of what an owner would have is believed to be in its cache.
	ownedShare = .9
	// keptShare of an upstream's cache is what stays of it between the requests that run.
	keptShare = .7
)

// lowest is the upstream with the lowest score so far.
type lowest struct {
	index int
	score float64
	total int // weights of those with this score; 0: none so far
}

// consider looks at another upstream. Of several with one score each is drawn by its weight.
func (l *lowest) consider(w *Weighted, i int, score float64) {
	weight := w.upstreams[i].weight()
	switch {
	case l.total == 0 || score < l.score:
		*l = lowest{i, score, weight}
	case score == l.score:
		l.total += weight
		if w.below(l.total) < weight {
			l.index = i
		}
	}
}

// lowest returns the upstream with the lowest score among those with a free slot, or among all
// that are available if none has one.
func (b *Balancer) lowest(d *draw, pool Pool, score func(i, calls int) float64) (int, bool) {
	var free, full lowest
	for _, i := range d.members {
		if !pool.Available(i) {
			continue
		}
		calls := b.inFlight(i, pool)
		if slots := b.upstreams[i].Slots; slots > 0 && calls >= slots {
			full.consider(b.weighted, i, score(i, calls))
		} else {
			free.consider(b.weighted, i, score(i, calls))
		}
	}
	if free.total == 0 {
		free = full
	}
	return free.index, free.total > 0
}

// leastWork chooses by what is under way, as if every prompt were new.
func (b *Balancer) leastWork(d *draw, call *Call, pool Pool) (int, bool) {
	return b.lowest(d, pool, func(i, calls int) float64 { return b.workScore(i, calls, call) })
}

// workScore is the score of an upstream that has none of the prompt.
func (b *Balancer) workScore(i, calls int, call *Call) float64 {
	work := float64(b.loads[i].prefill.Load() + call.promptTokens() + b.loading(i, call.Model))
	return work/b.speeds[i] + callCost*float64(calls)
}

// loading returns the cost of an upstream that serves any model, if another one is known to
// have this one.
func (b *Balancer) loading(i int, model string) int64 {
	if len(b.upstreams[i].Models) == 0 && model != "" && b.weighted.byModel[model] != nil {
		return coldCost
	}
	return 0
}

// lesserOfTwo draws two upstreams by weight and returns the one with less work.
func (b *Balancer) lesserOfTwo(call *Call, pool Pool) (int, bool) {
	first, ok := b.weighted.Pick(call.Model, pool)
	if !ok {
		return 0, false
	}
	second := first
	for range attempts {
		if second, _ = b.weighted.Pick(call.Model, pool); second != first {
			break
		}
	}
	if second == first {
		if other, ok := b.weighted.scan(b.weighted.draw(call.Model), func(i int) bool {
			return i != first && b.weighted.free(i, pool)
		}); ok {
			second = other
		}
	}
	if b.workScore(second, b.inFlight(second, pool), call) < b.workScore(first, b.inFlight(first, pool), call) {
		return second, true
	}
	return first, true
}

// prefixWork chooses by what is under way and by what of the prompt each upstream has. It also
// returns the tokens that the chosen one does not have.
func (b *Balancer) prefixWork(d *draw, call *Call, pool Pool, lease *Lease) (chosen int, work int64, ok bool) {
	tokens := call.promptTokens()
	perByte := float64(tokens) / float64(len(call.Prompt))
	b.read(call, lease)
	b.findCached(d, lease, perByte)
	owner := -1
	if b.options.Gateways > 1 {
		owner = b.guessCached(d, pool, lease, perByte)
	}
	chosen, ok = b.lowest(d, pool, func(i, calls int) float64 {
		score := b.prefixScore(i, calls, max(0, tokens-int64(lease.cached[i])), call)
		if i == owner {
			score -= tieTokens / b.speeds[i]
		}
		return score
	})
	if !ok {
		return 0, 0, false
	}
	cached := int64(lease.cached[chosen])
	for lease.first < lease.chain.Len() && int64(float64(lease.chain.At(lease.first).End)*perByte) <= cached {
		lease.first++
	}
	return chosen, max(0, tokens-cached), true
}

// prefixScore is the score of an upstream that has to compute so many tokens of the prompt.
func (b *Balancer) prefixScore(i, calls int, tokens int64, call *Call) float64 {
	work := float64(b.loads[i].prefill.Load()) +
		float64(tokens+b.loading(i, call.Model))*(1+float64(calls)/batchCalls)
	return work/b.speeds[i] + callCost*float64(calls)
}

// read cuts the call's prompt into the beginnings that others may share.
func (b *Balancer) read(call *Call, lease *Lease) {
	salt := call.Owner
	if b.options.SharePrompts {
		salt = ""
	}
	lease.chain.Read(prefix.Seed(b.options.Seed, call.Model, salt), call.Prompt)
	lease.chained = true
}

// findCached finds out how many tokens of the prompt each upstream has, from the longest
// beginning to the shortest.
func (b *Balancer) findCached(d *draw, lease *Lease, perByte float64) {
	if cap(lease.cached) < len(b.upstreams) {
		lease.cached = make([]int32, len(b.upstreams))
	}
	lease.cached = lease.cached[:len(b.upstreams)]
	clear(lease.cached)
	open := len(d.members)
	var found prefix.Holders
	for at := lease.chain.Len() - 1; at >= 0 && open > 0; at-- {
		boundary := lease.chain.At(at)
		if !b.options.State.index.Find(boundary.Hash, &found) {
			continue
		}
		if at+1 < lease.chain.Len() {
			if next := lease.chain.At(at + 1); next.Answer {
				boundary = next // the holder has generated it
			}
		}
		has := max(1, int32(float64(boundary.End)*perByte))
		found.All(func(holder prefix.Holder) bool {
			if i, ok := b.holds(holder); ok && lease.cached[i] == 0 {
				lease.cached[i] = has
				open--
			}
			return true
		})
	}
}

// holds returns the upstream that a holder is, unless that has been restarted or had to make
// room since.
func (b *Balancer) holds(holder prefix.Holder) (int, bool) {
	i := int(b.places[holder.ID&slotMask]) - 1
	if i < 0 || b.loads[i].id.Load() != uint32(holder.ID) {
		return 0, false
	}
	if size := b.upstreams[i].KVTokens; size > 0 {
		age := float64(b.loads[i].stamp()-holder.Stamp) * stampTokens
		return i, age <= keptShare*float64(size)
	}
	return i, true
}

// guessCached assumes that other gateways have sent prompts to their owners, which is what all
// can agree on without knowing of each other. It returns the owner of the conversation, or -1.
func (b *Balancer) guessCached(d *draw, pool Pool, lease *Lease, perByte float64) int {
	chain := &lease.chain
	if chain.System != 0 {
		if i := b.owner(d, pool, chain.System); i >= 0 {
			lease.cached[i] = max(lease.cached[i], int32(ownedShare*perByte*float64(chain.SystemEnd)))
		}
	}
	if chain.Root == 0 {
		return -1
	}
	root := b.owner(d, pool, chain.Root)
	if root < 0 {
		return -1
	}
	for at := chain.Len() - 1; at >= 0; at-- {
		if boundary := chain.At(at); boundary.Answer {
			lease.cached[root] = max(lease.cached[root], int32(ownedShare*perByte*float64(boundary.End)))
			break
		}
	}
	return root
}

// owner returns the upstream that owns a hash among those that are available, or -1.
func (b *Balancer) owner(d *draw, pool Pool, hash uint64) int {
	best, owner := math.Inf(-1), -1
	for _, i := range d.members {
		if !pool.Available(i) {
			continue
		}
		if rank := prefix.Rank(hash, b.loads[i].seed, b.speeds[i]); rank > best {
			best, owner = rank, i
		}
	}
	return owner
}
