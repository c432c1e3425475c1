package limiter

import "math/bits"

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
