package limiter

import (
	"math/bits"
)

// reservation is an open call: what it holds and where. It has no pointers.
// Every extension is a further reservation, a part, so that refunds land where
// the tokens were charged.
type reservation struct {
	id       uint64 // 0: free
	stamp    int64  // ms
	deadline int64  // ms; 0: none
	key      uint32 // slots of the scopes, plus one; 0: none
	model    uint32
	next     uint32 // older part, or next free one, plus one
	input    uint32
	output   uint32
	day      uint16
}

// partMark is the id of all parts but the newest.
const partMark = 1<<64 - 1

// reservations is the store of a shard.
type reservations struct {
	chunks []*[chunkSize]reservation
	length uint32
	free   uint32 // first free one plus one
	issued uint64 // the last id
}

func (r *reservation) tokens() Tokens {
	return Tokens{Input: int64(r.input), Output: int64(r.output)}
}

func (o *reservations) at(slot uint32) *reservation {
	return &o.chunks[slot/chunkSize][slot%chunkSize]
}

func (o *reservations) take() uint32 {
	if o.free != 0 {
		slot := o.free - 1
		o.free = o.at(slot).next
		return slot
	}
	if o.length%chunkSize == 0 {
		o.chunks = append(o.chunks, new([chunkSize]reservation))
	}
	o.length++
	return o.length - 1
}

func (o *reservations) release(slot uint32) {
	*o.at(slot) = reservation{next: o.free}
	o.free = slot + 1
}

// releaseAll releases a reservation and its parts.
func (o *reservations) releaseAll(slot uint32) {
	for {
		next := o.at(slot).next
		o.release(slot)
		if next == 0 {
			return
		}
		slot = next - 1
	}
}

// reserved returns what a reservation holds with all its parts.
func (o *reservations) reserved(r *reservation) Tokens {
	sum := r.tokens()
	for next := r.next; next != 0; {
		part := o.at(next - 1)
		sum.Input += int64(part.input)
		sum.Output += int64(part.output)
		next = part.next
	}
	return sum
}

// oldest returns the part that was reserved first.
func (o *reservations) oldest(r *reservation) *reservation {
	for r.next != 0 {
		r = o.at(r.next - 1)
	}
	return r
}

// Handle names a reservation. It is a plain value: it can be copied, kept and
// serialised, and it holds nothing secret. It is good for the limiter that
// issued it, as long as that lives. The zero Handle names no reservation.
type Handle struct {
	ID    uint64 // number of the reservation; never issued twice
	Slot  uint64 // where the limiter keeps it
	Check uint64 // proof that the limiter issued ID and Slot together
}

// issue returns the handle of a reservation.
func (m *Memory) issue(id uint64, shard, slot uint32) Handle {
	handle := Handle{ID: id, Slot: uint64(shard)<<32 | uint64(slot)}
	handle.Check = m.seal(handle)
	return handle
}

// seal returns the proof for the fields of a handle. Handles do not leave the
// process, so this finds mistakes, not attackers with many tries.
func (m *Memory) seal(handle Handle) uint64 {
	high, low := bits.Mul64(handle.ID^m.secret[0], handle.Slot^m.secret[1])
	return high ^ low ^ m.secret[0]
}

// issued reports whether this limiter made the handle.
func (m *Memory) issued(handle Handle) bool {
	return handle.ID != 0 && handle.Slot>>32 < shardCount && handle.Check == m.seal(handle)
}
