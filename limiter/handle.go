package limiter

import "math/bits"

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

// issued tells whether this limiter made the handle.
func (m *Memory) issued(handle Handle) bool {
	return handle.ID != 0 && handle.Slot>>32 < shardCount && handle.Check == m.seal(handle)
}
