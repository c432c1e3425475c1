package limiter

import "github.com/penstockhq/penstock/limits"

// scope holds the counters of one key, or of one key's use of one model, in 64
// bytes without a pointer, so that a million of them cost the collector nothing.
// Where a field says "48 bits above", the lower 16 bits hold another value.
//
// Input and output tokens of the window are counted apart only if a row asks for
// it: then a further scope per direction, a sub-counter, hangs off this one and uses
// the window fields alone.
type scope struct {
	hash        uint64 // identity; below firstIdentity: a mark
	expiryHead  uint64 // ms when the oldest entry leaves the window, 48 bits above the oldest entry's place in the ring
	liveCount   uint64 // tokens in the window, 48 bits above the number of entries
	dayTotal    uint64 // tokens of the day, 48 bits above the number of the day
	dayInput    uint64 // input tokens of the day, 48 bits above the upper half of sub-counter
	dayOutput   uint64 // output tokens of the day, 48 bits above the lower half of sub-counter
	requests    uint32 // requests in the window
	dayRequests uint32
	inFlight    uint32
	ring        ref // block of the log; 0: none
}

// Marks in place of an identity.
const (
	freeMark     = 0
	inputMark    = 1 // a sub-counter of input tokens
	outputMark   = 2 // a sub-counter of output tokens
	overflowMark = 3 // shared by keys beyond the cap
)

const (
	lower16 = 1<<16 - 1
	// maxSum is the most that a 48-bit sum may reach.
	maxSum = 1<<48 - 1
)

func (s *scope) expiry() int64 { return int64(s.expiryHead >> 16) }
func (s *scope) head() int     { return int(s.expiryHead & lower16) }
func (s *scope) live() int64   { return int64(s.liveCount >> 16) }
func (s *scope) count() int    { return int(s.liveCount & lower16) }

func (s *scope) setHead(expiry int64, head int) {
	s.expiryHead = uint64(expiry)<<16 | uint64(head)
}

func (s *scope) setLive(live int64, count int) {
	s.liveCount = uint64(live)<<16 | uint64(count)
}

// addLive adds tokens that the log does not hold, or takes them away.
func (s *scope) addLive(tokens int64) { s.liveCount += uint64(tokens) << 16 }

// sub-counter returns the slot of the first sub-counter plus one, 0 if there is none.
func (s *scope) sub() uint32 {
	return uint32(s.dayInput&lower16)<<16 | uint32(s.dayOutput&lower16)
}

func (s *scope) setSub(slot uint32) {
	s.dayInput = s.dayInput&^lower16 | uint64(slot>>16)
	s.dayOutput = s.dayOutput&^lower16 | uint64(slot&lower16)
}

// roll starts the counters of today if those of another day are there.
func (s *scope) roll(today uint16) {
	if uint16(s.dayTotal) == today {
		return
	}
	s.dayTotal = uint64(today)
	s.dayInput &= lower16
	s.dayOutput &= lower16
	s.dayRequests = 0
}

// dayTokens returns the tokens of type t that the day holds.
func (s *scope) dayTokens(t limits.TokenType) int64 {
	switch t {
	case limits.Input:
		return int64(s.dayInput >> 16)
	case limits.Output:
		return int64(s.dayOutput >> 16)
	default:
		return int64(s.dayTotal >> 16)
	}
}

// addDay changes the tokens of the day. A counter stays between 0 and maxSum.
func (s *scope) addDay(total, input, output int64) {
	s.dayTotal = addUpper(s.dayTotal, total)
	s.dayInput = addUpper(s.dayInput, input)
	s.dayOutput = addUpper(s.dayOutput, output)
}

// addUpper adds n, which may be negative, to the upper 48 bits of a word and
// keeps them between 0 and maxSum.
func addUpper(word uint64, n int64) uint64 {
	sum := int64(word>>16) + n
	return uint64(max(0, min(sum, maxSum)))<<16 | word&lower16
}

// full reports whether the sums may not hold one more call of the largest size.
func (s *scope) full() bool {
	return s.count() > fullCount || s.liveCount>>16 > maxSum-2*MaxTokens || s.dayTotal>>16 > maxSum-2*MaxTokens
}

// idle reports whether nothing that was counted matters any more.
func (s *scope) idle(today uint16) bool {
	used := uint16(s.dayTotal) == today && (s.dayRequests != 0 || (s.dayTotal|s.dayInput|s.dayOutput)>>16 != 0)
	return s.count() == 0 && s.live() == 0 && !used
}
