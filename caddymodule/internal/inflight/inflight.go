// Package inflight counts the calls that run at each upstream and that Caddy's reverse_proxy
// does not count, because they do not pass through it.
package inflight

import (
	"sync"
	"sync/atomic"
)

// counters are those of all upstreams that ever were configured, by address, so that they
// outlive a configuration as the calls do.
var counters sync.Map

// Of returns the counter of an upstream. It is the same one each time.
func Of(address string) *atomic.Int64 {
	counter, known := counters.Load(address)
	if !known {
		counter, _ = counters.LoadOrStore(address, new(atomic.Int64))
	}
	return counter.(*atomic.Int64)
}

// All returns how many calls run at each upstream.
func All() map[string]int64 {
	all := make(map[string]int64)
	counters.Range(func(address, counter any) bool {
		all[address.(string)] = counter.(*atomic.Int64).Load()
		return true
	})
	return all
}
