package limiter

import "time"

// The log of a scope is a ring of entries in the order of their stamps. An entry
// is one word: the stamp in ms (24 bits, modulo 4.66 h), requests (14) and
// tokens (26). An event at time e is stamped ceil(e) and counts while
// floor(now) < stamp + window: it counts for less than a millisecond too long, and never
// too short.

const (
	windowMS = int64(Window / time.Millisecond)

	stampShift   = 40
	stampMask    = 1<<24 - 1
	requestShift = 26
	maxRequests  = 1<<14 - 1 // of one entry
	maxTokens    = 1<<26 - 1 // of one entry

	// maxCount is how many entries a ring may hold; its 16-bit counters end there.
	maxCount = 1<<16 - 1
	// fullCount is where Reserve stops: the largest call needs 33 entries.
	fullCount = maxCount - 1024
)

func entry(stamp, requests, tokens int64) uint64 {
	return uint64(stamp&stampMask)<<stampShift | uint64(requests)<<requestShift | uint64(tokens)
}

func entryRequests(e uint64) int64 { return int64(e >> requestShift & maxRequests) }
func entryTokens(e uint64) int64   { return int64(e & maxTokens) }

// later returns by how many ms the stamp of b is after that of a.
func later(a, b uint64) int64 { return int64((b>>stampShift - a>>stampShift) & stampMask) }

// expire drops the entries that have left the window at time now (ms).
func (sh *shard) expire(s *scope, now int64) {
	count := s.count()
	if count == 0 || now < s.expiry() {
		return
	}
	words := sh.blocks.words(s.ring)
	mask := len(words) - 1
	head, expiry, live := s.head(), s.expiry(), s.live()
	for now >= expiry {
		gone := words[head]
		s.requests -= uint32(entryRequests(gone))
		live -= entryTokens(gone)
		head = (head + 1) & mask
		if count--; count == 0 {
			break
		}
		expiry += later(gone, words[head])
	}
	s.setLive(live, count)
	s.setHead(expiry, head)
	if count == 0 {
		sh.dropRing(s)
	}
}

func (sh *shard) dropRing(s *scope) {
	sh.blocks.release(s.ring)
	s.ring, s.expiryHead = 0, 0
}

// add writes an event into the log and counts it. The log must be expired, and
// stamps must not fall.
func (sh *shard) add(s *scope, stamp, requests, tokens int64) {
	s.requests += uint32(requests)
	s.addLive(tokens)
	if count := s.count(); count > 0 {
		words := sh.blocks.words(s.ring)
		tail := &words[(s.head()+count-1)&(len(words)-1)]
		if *tail>>stampShift == uint64(stamp&stampMask) {
			r := min(requests, maxRequests-entryRequests(*tail))
			t := min(tokens, maxTokens-entryTokens(*tail))
			*tail += uint64(r)<<requestShift | uint64(t)
			requests, tokens = requests-r, tokens-t
		}
	}
	for requests > 0 || tokens > 0 {
		r, t := min(requests, maxRequests), min(tokens, maxTokens)
		if !sh.push(s, stamp, r, t) {
			// Only a settlement gets here, with the log full beyond every limit that
			// Reserve accepts: what does not fit is not counted.
			s.requests -= uint32(requests)
			s.addLive(-tokens)
			return
		}
		requests, tokens = requests-r, tokens-t
	}
}

// push appends one entry and returns false if the ring cannot grow any more.
func (sh *shard) push(s *scope, stamp, requests, tokens int64) bool {
	count := s.count()
	if count == 0 {
		s.ring = sh.blocks.allocate(1)
	}
	words := sh.blocks.words(s.ring)
	if count == len(words) || count == maxCount {
		if !sh.makeRoom(s) {
			return false
		}
		count = s.count()
		words = sh.blocks.words(s.ring)
	}
	words[(s.head()+count)&(len(words)-1)] = entry(stamp, requests, tokens)
	if count == 0 { // a new ring, or one whose entries were all empty
		s.setHead(stamp+windowMS, s.head())
	}
	s.liveCount++
	return true
}

// makeRoom makes room for one more entry: small rings grow, large ones merge
// neighbours first and grow only where that frees too little to be worth it.
func (sh *shard) makeRoom(s *scope) bool {
	size := len(sh.blocks.words(s.ring))
	if size >= sh.entries {
		sh.merge(s)
		if s.count() <= size/4*3 {
			return true
		}
	}
	if s.ring.class() == maxClass {
		return s.count() < maxCount
	}
	sh.resize(s, s.ring.class()+1)
	return true
}

// resize moves the ring into a block of another class.
func (sh *shard) resize(s *scope, class uint32) {
	next := sh.blocks.allocate(class)
	from, to := sh.blocks.words(s.ring), sh.blocks.words(next)
	head := s.head()
	for i := range s.count() {
		to[i] = from[(head+i)&(len(from)-1)]
	}
	sh.blocks.release(s.ring)
	s.ring = next
	s.setHead(s.expiry(), 0)
}

// merge joins neighbours whose stamps lie in the same aligned slot under the
// later stamp, so that no weight leaves the window early, and drops empty
// entries. At most 2/entries of the window lie in one slot.
func (sh *shard) merge(s *scope) {
	words := sh.blocks.words(s.ring)
	mask, head := len(words)-1, s.head()
	stamp := s.expiry() - windowMS
	kept, keptStamp := 0, int64(0) // entries written, stamp of the last
	first := int64(0)              // stamp of the first entry written
	previous := words[head]
	for i := range s.count() {
		e := words[(head+i)&mask]
		stamp += later(previous, e)
		previous = e
		requests, tokens := entryRequests(e), entryTokens(e)
		if requests == 0 && tokens == 0 {
			continue
		}
		if kept > 0 && stamp/sh.slot == keptStamp/sh.slot {
			last := &words[(head+kept-1)&mask]
			requests += entryRequests(*last)
			tokens += entryTokens(*last)
			if requests <= maxRequests && tokens <= maxTokens {
				*last = entry(stamp, requests, tokens)
				keptStamp = stamp
				if kept == 1 {
					first = stamp
				}
				continue
			}
		}
		if kept == 0 {
			first = stamp
		}
		words[(head+kept)&mask] = e
		keptStamp = stamp
		kept++
	}
	s.setLive(s.live(), kept)
	s.setHead(first+windowMS, head)
}

// refund takes weight out of the log where an event with this stamp stands. Merging
// keeps later stamps within a slot, so the weight is in the first entry whose stamp is
// not below, or, if that was full, in the next ones of the slot. What has left the
// window is gone.
func (sh *shard) refund(s *scope, now, stamp, requests, tokens int64) {
	count := s.count()
	if count == 0 || stamp+windowMS <= now {
		return
	}
	words := sh.blocks.words(s.ring)
	mask, head := len(words)-1, s.head()
	oldest, origin := s.expiry()-windowMS, words[head]
	low, high := 0, count
	for low < high {
		middle := (low + high) / 2
		if oldest+later(origin, words[(head+middle)&mask]) < stamp {
			low = middle + 1
		} else {
			high = middle
		}
	}
	live := s.live()
	for ; low < count && (requests > 0 || tokens > 0); low++ {
		e := &words[(head+low)&mask]
		r, t := min(requests, entryRequests(*e)), min(tokens, entryTokens(*e))
		*e -= uint64(r)<<requestShift | uint64(t)
		requests, tokens = requests-r, tokens-t
		s.requests -= uint32(r)
		live -= t
	}
	for count > 0 && words[(head+count-1)&mask]&(1<<stampShift-1) == 0 {
		count-- // an empty entry at the end is of no use
	}
	s.setLive(live, count)
	if count == 0 {
		sh.dropRing(s)
	}
}

// emptyAt returns when (ms) the last entry leaves the window, now if there is none.
func (sh *shard) emptyAt(s *scope, now int64) int64 {
	count := s.count()
	if count == 0 {
		return now
	}
	words := sh.blocks.words(s.ring)
	head := s.head()
	return s.expiry() + later(words[head], words[(head+count-1)&(len(words)-1)])
}

// room returns from when on (ms) the window holds at most target requests, or
// tokens, if nothing more comes, and how many it then holds: more than target
// only if tokens of running calls stand outside the log.
func (sh *shard) room(s *scope, now, target int64, tokens bool) (at, left int64) {
	left = int64(s.requests)
	if tokens {
		left = s.live()
	}
	count := s.count()
	if left <= target || count == 0 {
		return now, left
	}
	words := sh.blocks.words(s.ring)
	mask, head := len(words)-1, s.head()
	at = s.expiry()
	previous := words[head]
	for i := 0; i < count && left > target; i++ {
		e := words[(head+i)&mask]
		at += later(previous, e)
		previous = e
		if tokens {
			left -= entryTokens(e)
		} else {
			left -= entryRequests(e)
		}
	}
	return at, left
}
