package balance

import (
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/penstockhq/penstock/caddymodule/balance/internal/prefix"
)

// hashBound is how many of the calls in flight an upstream may have under prefix_hash, as a
// multiple of its share.
const hashBound = 1.25

// ofPrefix chooses by the beginning of the conversation, up to the end of its first message.
// An upstream that is above the bound is passed over.
func (b *Balancer) ofPrefix(d *draw, call *Call, pool Pool, lease *Lease) (int, bool) {
	if len(call.Prompt) == 0 {
		return b.leastWork(d, call, pool)
	}
	b.read(call, lease)
	total, speeds := 1, 0.
	for _, i := range d.members {
		if pool.Available(i) {
			total += b.inFlight(i, pool)
			speeds += b.speeds[i]
		}
	}
	share := hashBound * float64(total) / speeds
	return b.lowest(d, pool, func(i, calls int) float64 {
		rank := -prefix.Rank(lease.chain.Root, b.loads[i].seed, b.speeds[i])
		if float64(calls+1) > math.Ceil(share*b.speeds[i]) {
			return float64(calls+1) / b.speeds[i] // above all ranks, which are negative
		}
		return rank
	})
}

// ofSession chooses by the session of the call, or else by the beginning of its conversation.
func (b *Balancer) ofSession(d *draw, call *Call, pool Pool, lease *Lease) (int, bool) {
	var hash uint64
	switch {
	case call.Session != "":
		hash = xxhash.Sum64String(call.Session) ^ b.options.Seed
	case len(call.Prompt) > 0:
		b.read(call, lease)
		hash = lease.chain.Root
	default:
		return b.leastWork(d, call, pool)
	}
	return b.lowest(d, pool, func(i, _ int) float64 {
		return -prefix.Rank(hash, b.loads[i].seed, b.speeds[i])
	})
}
