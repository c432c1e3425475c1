package balance

import (
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/penstockhq/penstock/caddymodule/balance/internal/prefix"
)

const (
	// slotBits of a holder's id say which upstream it is, the others count its restarts.
	slotBits = 10
	maxSlots = 1 << slotBits
	slotMask = maxSlots - 1
	// stampTokens is the unit of the clock of an upstream's cache.
	stampTokens = 16
)

// State is what a gateway knows about upstreams beyond one configuration: what it has under way
// at each of them, and which prompts they have seen. It is safe for concurrent use.
type State struct {
	index *prefix.Index

	mutex     sync.Mutex
	byAddress map[string]*load
	order     []*load // by slot - 1
	next      int     // slot that is given away next when all are in use
}

// NewState returns a State that knows nothing. Its index of prompts takes 2 MiB.
func NewState() *State {
	return &State{index: prefix.NewIndex(prefix.DefaultEntries), byAddress: map[string]*load{}}
}

// load is what this gateway has under way at one upstream.
type load struct {
	prefill  atomic.Int64  // tokens of prompts that have got no answer yet
	calls    atomic.Int64  // in flight
	inserted atomic.Uint64 // tokens that the cache took in: its clock
	id       atomic.Uint32 // as a holder; 0: it has none any more
	_        [32]byte      // a cache line of its own

	seed uint64 // its address, hashed
}

// find returns the load of an address. A gateway remembers the latest 1023 addresses; dynamic
// upstreams may have ever new ones.
func (s *State) find(address string) *load {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if known := s.byAddress[address]; known != nil {
		return known
	}
	made := &load{seed: xxhash.Sum64String(address)}
	s.byAddress[address] = made
	if len(s.order) < maxSlots-1 {
		s.order = append(s.order, made)
		made.id.Store(uint32(len(s.order)))
		return made
	}
	gone := s.order[s.next]
	for known, one := range s.byAddress {
		if one == gone {
			delete(s.byAddress, known)
		}
	}
	made.id.Store(nextGeneration(gone.id.Swap(0)))
	s.order[s.next] = made
	s.next = (s.next + 1) % len(s.order)
	return made
}

// nextGeneration returns the id of the same slot after a restart.
func nextGeneration(id uint32) uint32 { return (id + maxSlots) & (1<<16 - 1) }

// restarted forgets which prompts an upstream has seen: its cache is empty.
func (l *load) restarted() {
	for {
		id := l.id.Load()
		if id == 0 || l.id.CompareAndSwap(id, nextGeneration(id)) {
			return
		}
	}
}

// stamp returns the time of the upstream's cache.
func (l *load) stamp() uint32 { return uint32(l.inserted.Load() / stampTokens) }
