package engine

import "time"

// waitingLine orders the requests that have no slot yet, by rank. A rank is the number
// of the call's arrival; the i-th request of a call ranks as if it had arrived i x slots
// calls later. A call with many requests therefore cannot shut out others, and still
// gets its turn.
type waitingLine struct {
	sequences []*sequence // by rank
	arrivals  uint64
}

// add puts the requests of one call in line.
func (l *waitingLine) add(call []*sequence, slots int) {
	for i, one := range call {
		one.rank = l.arrivals + uint64(i*slots)
		at := len(l.sequences)
		for at > 0 && l.sequences[at-1].rank > one.rank {
			at--
		}
		l.sequences = append(l.sequences, nil)
		copy(l.sequences[at+1:], l.sequences[at:])
		l.sequences[at] = one
	}
	l.arrivals++
}

// next returns the first request that may start. The choices of a prompt wait
// until one of them has read it, then they find it in the cache.
func (l *waitingLine) next() *sequence {
	for _, one := range l.sequences {
		if one.reader == nil || one.reader.promptRead {
			return one
		}
	}
	return nil
}

// remove takes the requests out of line that match, and returns them.
func (l *waitingLine) remove(match func(*sequence) bool) []*sequence {
	var removed []*sequence
	kept := l.sequences[:0]
	for _, one := range l.sequences {
		if match(one) {
			removed = append(removed, one)
		} else {
			kept = append(kept, one)
		}
	}
	clear(l.sequences[len(kept):])
	l.sequences = kept
	return removed
}

func (l *waitingLine) len() int { return len(l.sequences) }

// drainMemory is the number of finished requests from which the drain rate is measured.
const drainMemory = 32

// drainRate measures how fast slots come free while there is work: a night
// without requests says nothing about how long the next one will take.
type drainRate struct {
	endings [drainMemory]time.Duration // on the clock of busy time
	count   int
	busy    time.Duration // of the periods of work that are over
	since   time.Time     // when the present one began; zero if nothing runs
}

// clock is the time with work so far.
func (r *drainRate) clock(now time.Time) time.Duration {
	if r.since.IsZero() {
		return r.busy
	}
	return r.busy + now.Sub(r.since)
}

// began notes that something runs.
func (r *drainRate) began(now time.Time) {
	if r.since.IsZero() {
		r.since = now
	}
}

// ended notes that a slot came free, and that left requests still run.
func (r *drainRate) ended(now time.Time, left int) {
	r.endings[r.count%drainMemory] = r.clock(now)
	r.count++
	if left == 0 {
		r.busy, r.since = r.clock(now), time.Time{}
	}
}

// perSecond returns the rate of the last endings up to now, or 0 if there were fewer
// than two.
func (r *drainRate) perSecond(now time.Time) float64 {
	if r.count < 2 {
		return 0
	}
	known := min(r.count, drainMemory)
	span := max(time.Nanosecond, r.clock(now)-r.endings[(r.count-known)%drainMemory])
	return float64(known) / span.Seconds()
}

// The bounds of Retry-After: with less, clients overload the server; with more, they
// give up.
const (
	shortestRetry = time.Second
	longestRetry  = time.Minute
)

// retryAfter estimates the time until all requests that wait now have started.
func (r *drainRate) retryAfter(now time.Time, waiting int) time.Duration {
	rate := r.perSecond(now)
	if rate == 0 {
		return shortestRetry
	}
	// Compare as floats: a tiny rate would overflow a Duration.
	seconds := float64(waiting+1) / rate
	if seconds >= longestRetry.Seconds() {
		return longestRetry
	}
	return max(shortestRetry, time.Duration(seconds*float64(time.Second)))
}
