package limiter

import "time"

// Clock tells the time. Both methods must be safe for concurrent use.
type Clock interface {
	// Monotonic returns the time since a fixed start. It never goes back, and setting
	// the wall clock does not change it. Windows are measured with it.
	Monotonic() time.Duration
	// Wall returns the civil time, which decides what day it is.
	Wall() time.Time
}

// origin keeps times positive: what is read from a snapshot may have happened
// before the clock started.
const origin = int64(2 * Window)

// now returns the time in ns. It is read under the lock of the shard, once per
// call, and never falls there.
func (m *Memory) now(sh *shard) int64 {
	var now int64
	if m.clock == nil {
		now = int64(time.Since(m.start)) + origin
	} else {
		now = int64(m.clock.Monotonic()) + origin
	}
	if now < sh.last {
		return sh.last
	}
	sh.last = now
	return now
}

// Times are int64: ns on the monotonic clock, and ms where they are kept.

func floorMS(ns int64) int64 { return ns / int64(time.Millisecond) }
func ceilMS(ns int64) int64  { return floorMS(ns + int64(time.Millisecond) - 1) }
func toNS(ms int64) int64    { return ms * int64(time.Millisecond) }

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
