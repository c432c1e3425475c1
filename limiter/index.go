package limiter

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
