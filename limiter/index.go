package limiter

import (
	"math/bits"
)

// index finds the scopes of a shard by identity: an open-addressing table of one
// word per scope, 32 bits of the identity as a tag above the slot. It grows a few
// entries at a time, so that no call pays for all of them: while it does, the
// old table is still there and shrinks with each insertion.
type index struct {
	table  []uint64
	old    []uint64
	moved  int // entries of old that were looked at
	live   int // scopes in both tables
	filled int // words of table that are not empty
}

const (
	emptyWord = 0
	grave     = 1 // an entry was here; searches go on
	slotBias  = 2 // added to slots, to keep them apart from the two above
	moveStep  = 16
)

func word(hash uint64, slot uint32) uint64 { return tag(hash) | uint64(slot+slotBias) }

// tag returns bits of the identity that neither chose the shard nor the place.
func tag(hash uint64) uint64 { return hash >> 24 << 32 }

// find returns the slot of an identity plus one, 0 if it has none.
func (sh *shard) find(hash uint64) uint32 {
	for table := sh.index.table; len(table) > 0; table = sh.index.old {
		mask, want := uint64(len(table)-1), tag(hash)
		for i := hash & mask; table[i&mask] != emptyWord; i++ {
			if w := table[i&mask]; (w^want)>>32 == 0 && w&(1<<32-1) >= slotBias {
				if slot := uint32(w) - slotBias; sh.at(slot).hash == hash {
					return slot + 1
				}
			}
		}
		if sh.index.old == nil || &table[0] == &sh.index.old[0] {
			break
		}
	}
	return 0
}

// insert adds an identity that is not there.
func (sh *shard) insert(hash uint64, slot uint32) {
	x := &sh.index
	if (x.filled+1)*4 > len(x.table)*3 {
		sh.startGrowing()
	}
	sh.moveSome(moveStep)
	x.put(word(hash, slot), hash)
	x.live++
}

func (x *index) put(w, hash uint64) {
	mask := uint64(len(x.table) - 1)
	i := hash & mask
	for x.table[i] > grave {
		i = (i + 1) & mask
	}
	if x.table[i] == emptyWord {
		x.filled++
	}
	x.table[i] = w
}

// startGrowing takes a new table, sized for what is live now: graves are left
// behind. It is at least a quarter of the old one. At least a quarter of the new
// one is then filled by insertions before that is replaced in turn, each of which
// moves 16 words: the old one is empty by then, and never overfills the new one.
func (sh *shard) startGrowing() {
	x := &sh.index
	size := 8
	for size < 2*(x.live+1) || 4*size < len(x.table) {
		size *= 2
	}
	x.old, x.moved = x.table, 0
	x.table, x.filled = make([]uint64, size), 0
}

// moveSome moves entries over from the old table.
func (sh *shard) moveSome(n int) {
	x := &sh.index
	if x.old == nil {
		return
	}
	for ; n > 0 && x.moved < len(x.old); n-- {
		if w := x.old[x.moved]; w > grave {
			x.put(w, sh.at(uint32(w)-slotBias).hash)
			x.old[x.moved] = grave // found in the new table from now on
		}
		x.moved++
	}
	if x.moved == len(x.old) {
		x.old = nil
	}
}

// remove takes an identity out.
func (sh *shard) remove(hash uint64, slot uint32) {
	w := word(hash, slot)
	if bury(sh.index.table, hash, w) || bury(sh.index.old, hash, w) {
		sh.index.live--
	}
}

func bury(table []uint64, hash, w uint64) bool {
	if len(table) == 0 {
		return false
	}
	mask := uint64(len(table) - 1)
	for i := hash & mask; table[i] != emptyWord; i = (i + 1) & mask {
		if table[i] == w {
			table[i] = grave
			return true
		}
	}
	return false
}

// hasher turns names into the 64-bit identities of scopes. It is seeded, so that
// nobody can aim for collisions, and the seed can be saved, so that a snapshot
// can be read by the next process: the names themselves are not kept. It folds
// the 128-bit product of two words, which mixes all their bits in one
// multiplication. Two of n scopes share an identity with probability n*n/2^65.
type hasher [4]uint64

// firstIdentity is the lowest identity of a named scope; those below mark scopes
// that have no name.
const firstIdentity = 16

// key returns the identity of a key's scope.
func (h *hasher) key(name string) uint64 {
	return h.sum(h[3], name) | firstIdentity
}

// model returns the identity of a key's use of a model. Its upper bits do not
// choose the shard: it lives in the shard of the key.
func (h *hasher) model(key uint64, name string) uint64 {
	return h.sum(key^h[2], name) | firstIdentity
}

func (h *hasher) sum(state uint64, s string) uint64 {
	length := uint64(len(s))
	for len(s) > 16 {
		state = fold(load64(s)^h[0]^state, load64(s[8:])^h[1])
		s = s[16:]
	}
	var a, b uint64
	switch {
	case len(s) >= 8:
		a, b = load64(s), load64(s[len(s)-8:])
	case len(s) >= 4:
		a, b = load32(s), load32(s[len(s)-4:])
	case len(s) > 0:
		a = uint64(s[0]) | uint64(s[len(s)/2])<<8 | uint64(s[len(s)-1])<<16
	}
	state = fold(a^h[0]^state, b^h[1])
	return fold(state^h[2], length^h[3])
}

func fold(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}

func load64(s string) uint64 {
	_ = s[7] // one bounds check instead of eight
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func load32(s string) uint64 {
	_ = s[3]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}
