package prefix

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	// holders is how many servers an entry remembers for one beginning of a prompt.
	holders = 8
	// ways is how many entries a hash may stand in.
	ways = 4
	// shards is how many locks the sets share.
	shards = 64
	// DefaultEntries makes an index of 2 MiB, locks included.
	DefaultEntries = (2<<20 - int(unsafe.Sizeof(Index{}))) / int(unsafe.Sizeof(entry{})) / ways * ways
)

// Holder is a server that has computed the beginning of a prompt.
type Holder struct {
	ID    uint16 // of the server, see the index's user
	Stamp uint32 // the server's own clock at that time
}

// Holders are those of one entry, the latest first. An unused one has the ID 0.
type Holders struct {
	ids    [holders]uint16
	stamps [holders]uint32
}

// All calls use for each holder until it returns false.
func (h *Holders) All(use func(Holder) bool) {
	for i, id := range h.ids {
		if id == 0 || !use(Holder{id, h.stamps[i]}) {
			return
		}
	}
}

// entry is 64 bytes.
type entry struct {
	hash    uint64
	holders Holders
	used    uint32 // when it was last written, by the index's clock
	_       uint32
}

type set [ways]entry

type shard struct {
	sync.Mutex
	_ [56]byte // a cache line of its own
}

// Index remembers who holds what, in memory of a fixed size: the entry that was written longest
// ago makes room for a new one. It is safe for concurrent use.
type Index struct {
	sets  []set
	clock atomic.Uint32
	locks [shards]shard
}

// NewIndex returns an index of about so many entries of 64 bytes.
func NewIndex(entries int) *Index {
	return &Index{sets: make([]set, max(1, entries/ways))}
}

// Bytes returns the size of the index.
func (x *Index) Bytes() int { return int(unsafe.Sizeof(*x)) + len(x.sets)*int(unsafe.Sizeof(set{})) }

// find returns the set of a hash with its lock, which the caller takes.
func (x *Index) find(hash uint64) (*set, *shard) {
	i := int((hash >> 32) * uint64(len(x.sets)) >> 32)
	return &x.sets[i], &x.locks[i%shards]
}

// Find returns the holders of a hash. It is false if the hash is not known.
func (x *Index) Find(hash uint64, found *Holders) bool {
	set, lock := x.find(hash)
	lock.Lock()
	defer lock.Unlock()
	for i := range set {
		if set[i].hash == hash && set[i].holders.ids[0] != 0 {
			*found = set[i].holders
			return true
		}
	}
	return false
}

// Tick begins a new time for the entries that are written from now on.
func (x *Index) Tick() uint32 { return x.clock.Add(1) }

// Add notes at a time of the index that a server holds a hash.
func (x *Index) Add(tick uint32, hash uint64, holder Holder) {
	set, lock := x.find(hash)
	lock.Lock()
	defer lock.Unlock()
	oldest := 0
	for i := range set {
		if set[i].hash == hash && set[i].holders.ids[0] != 0 {
			set[i].used = tick
			set[i].holders.put(holder)
			return
		}
		if set[i].age(tick) > set[oldest].age(tick) {
			oldest = i
		}
	}
	set[oldest] = entry{hash: hash, used: tick}
	set[oldest].holders.put(holder)
}

// age returns how long ago an entry was written; an unused one is older than all others.
func (e *entry) age(tick uint32) uint32 {
	if e.holders.ids[0] == 0 {
		return 1<<32 - 1
	}
	return tick - e.used
}

// put moves a holder to the front. The one that was there longest ago is forgotten.
func (h *Holders) put(holder Holder) {
	i := 0
	for i < holders-1 && h.ids[i] != holder.ID && h.ids[i] != 0 {
		i++
	}
	copy(h.ids[1:i+1], h.ids[:i])
	copy(h.stamps[1:i+1], h.stamps[:i])
	h.ids[0], h.stamps[0] = holder.ID, holder.Stamp
}

// Remove forgets that a server holds a hash.
func (x *Index) Remove(hash uint64, id uint16) {
	set, lock := x.find(hash)
	lock.Lock()
	defer lock.Unlock()
	for i := range set {
		if set[i].hash == hash {
			set[i].holders.drop(id)
		}
	}
}

func (h *Holders) drop(id uint16) {
	for i := range h.ids {
		if h.ids[i] == id {
			copy(h.ids[i:], h.ids[i+1:])
			copy(h.stamps[i:], h.stamps[i+1:])
			h.ids[holders-1], h.stamps[holders-1] = 0, 0
			return
		}
	}
}
