package limiter

import (
	"sync"

	"github.com/penstockhq/penstock/limits"
)

const (
	shardCount = 256
	chunkSize  = 64 // scopes, or reservations, that are allocated together
)

// shard holds the scopes of some keys under one lock. The scopes of one key are
// all in the same shard, so that one lock covers every rule of a call.
type shard struct {
	mu   sync.Mutex
	last int64 // ns; the latest time seen, below which time does not fall

	index  index
	chunks []*[chunkSize]scope
	length uint32   // scopes in chunks, free ones included
	free   []uint32 // slots of free scopes
	blocks blocks
	open   reservations

	overflow [2]uint32 // slots plus one of the scopes that keys, and models, beyond the cap share
	calls    uint32
	cursor   uint32 // scope to examine next
	probe    uint32 // reservation to examine next

	entries int   // from this ring size on entries are merged
	slot    int64 // ms; entries in the same slot may be merged

	_ [64]byte // shards do not share cache lines
}

func (sh *shard) at(slot uint32) *scope { return &sh.chunks[slot/chunkSize][slot%chunkSize] }

// take returns a free slot.
func (sh *shard) take() uint32 {
	if n := len(sh.free); n > 0 {
		slot := sh.free[n-1]
		sh.free = sh.free[:n-1]
		return slot
	}
	if sh.length%chunkSize == 0 {
		sh.chunks = append(sh.chunks, new([chunkSize]scope))
	}
	sh.length++
	return sh.length - 1
}

// scope returns the slot plus one of an identity and makes a scope if it has
// none. The scope in slot keep (plus one) is not forgotten to make place.
func (m *Memory) scope(sh *shard, hash uint64, level int, today uint16, now int64, keep uint32) uint32 {
	if slot := sh.find(hash); slot != 0 {
		return slot
	}
	return m.newScope(sh, hash, level, today, now, keep)
}

func (m *Memory) newScope(sh *shard, hash uint64, level int, today uint16, now int64, keep uint32) uint32 {
	if sh.overflow[level] != 0 {
		// A key that is counted in the shared scope stays there until that is idle:
		// in a scope of its own it would start from zero and get its limit twice.
		if m.examine(sh, sh.overflow[level]-1, today, now); sh.overflow[level] != 0 {
			return sh.overflow[level]
		}
	}
	if m.scopes.Add(1) > m.maxKeys && !m.forgetOne(sh, today, now, keep) {
		m.scopes.Add(-1)
		slot := sh.take()
		*sh.at(slot) = scope{hash: overflowMark}
		sh.overflow[level] = slot + 1
		return slot + 1
	}
	slot := sh.take()
	*sh.at(slot) = scope{hash: hash}
	sh.insert(hash, slot)
	return slot + 1
}

// forgetOne looks for a scope to forget among the next few.
func (m *Memory) forgetOne(sh *shard, today uint16, now int64, keep uint32) bool {
	for range min(sh.length, 16) {
		if slot := sh.next(); slot+1 != keep && m.examine(sh, slot, today, now) {
			return true
		}
	}
	return false
}

// next moves the cursor over the scopes.
func (sh *shard) next() uint32 {
	slot := sh.cursor
	if sh.cursor++; sh.cursor >= sh.length {
		sh.cursor = 0
	}
	return slot
}

// tidyEvery is how many decisions a shard makes between two calls of tidy.
const tidyEvery = 4

// tidy looks at one scope and one reservation. It takes the place of a sweeper:
// no call waits for a sweep.
func (m *Memory) tidy(sh *shard, today uint16, now int64) {
	m.examine(sh, sh.next(), today, now)
	if n := sh.open.length; n > 0 {
		if sh.probe++; sh.probe >= n {
			sh.probe = 0
		}
		m.lapse(sh, sh.probe)
	}
}

// examine drops what has expired in a scope, and the scope if it is idle. It
// returns true if it dropped a scope that counts towards the cap.
func (m *Memory) examine(sh *shard, slot uint32, today uint16, now int64) bool {
	s := sh.at(slot)
	if s.inFlight != 0 || s.hash == freeMark || s.hash == inputMark || s.hash == outputMark {
		return false
	}
	sh.expireAll(s, now)
	sh.shrink(s)
	if !s.idle(today) {
		return false
	}
	for sub := s.sub(); sub != 0; sub = sh.at(sub - 1).sub() {
		if a := sh.at(sub - 1); a.count() != 0 || a.live() != 0 {
			return false
		}
	}
	for sub := s.sub(); sub != 0; {
		next := sh.at(sub - 1).sub()
		sh.drop(sub - 1)
		sub = next
	}
	named := s.hash >= firstIdentity
	if named {
		sh.remove(s.hash, slot)
		m.scopes.Add(-1)
	}
	for level := range sh.overflow {
		if sh.overflow[level] == slot+1 {
			sh.overflow[level] = 0
		}
	}
	sh.drop(slot)
	return named
}

// drop frees a slot.
func (sh *shard) drop(slot uint32) {
	if s := sh.at(slot); s.ring != 0 {
		sh.blocks.release(s.ring)
	}
	*sh.at(slot) = scope{}
	sh.free = append(sh.free, slot)
}

// expireAll expires a scope and its sub-counters.
func (sh *shard) expireAll(s *scope, now int64) {
	sh.expire(s, now)
	for sub := s.sub(); sub != 0; {
		a := sh.at(sub - 1)
		sh.expire(a, now)
		sub = a.sub()
	}
}

// shrink moves a ring that is nearly empty into a smaller block.
func (sh *shard) shrink(s *scope) {
	if class := s.ring.class(); class > 1 && s.count() <= classWords(class)/4 {
		sh.resize(s, class-1)
	}
}

// findSub returns the scope that counts tokens of type t apart, nil if there is
// none.
func (sh *shard) findSub(s *scope, t limits.TokenType) *scope {
	for slot := s.sub(); slot != 0; {
		sub := sh.at(slot - 1)
		if sub.hash == uint64(t) {
			return sub
		}
		slot = sub.sub()
	}
	return nil
}

// addSub counts tokens of type t apart from now on. It starts with all the
// tokens that the scope holds, as it is not known how many of them were of that
// direction: a limit may bind too early for one window, never too late.
func (m *Memory) addSub(sh *shard, s *scope, t limits.TokenType) {
	slot := sh.take()
	sub := sh.at(slot)
	*sub = scope{hash: uint64(t)}
	sub.setSub(s.sub())
	s.setSub(slot + 1)
	sh.copyTokens(sub, s)
	if m.strict {
		sh.eachOpen(func(r *reservation) {
			if sh.holds(r, s) {
				sub.addLive(sh.open.reserved(r).Of(t))
			}
		})
	}
}

// copyTokens writes the tokens of a scope's log into the empty log of a sub-counter.
func (sh *shard) copyTokens(sub, s *scope) {
	sh.eachEntry(s, func(stamp, _, tokens int64) {
		sh.add(sub, stamp, 0, tokens)
	})
}
