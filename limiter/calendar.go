package limiter

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockhq/penstock/limits"
)

// calendar finds out which civil day it is. The date never goes back: when the wall clock
// is set back, the counters of the later date stay in use, so that no date gives its
// quota twice.
type calendar struct {
	zone  *time.Location
	wall  func() time.Time
	mu    sync.Mutex
	state atomic.Pointer[day]
}

// day is what the calendar found when it last read the wall clock. It does not
// change.
type day struct {
	number  uint16 // grows by one with each new day; counters of other days are stale
	date    int64  // days since 1970
	end     int64  // ns on the monotonic clock; when the next day begins
	recheck int64  // ns; when to read the wall clock again
	began   int64  // ns; when the date was first seen
	read    int64  // ns; when the wall clock was read
	wall    time.Time
}

const (
	recheckEvery = int64(time.Second)
	// maxBehind is how long a date stays in use after the wall clock was set back. A
	// clock that was years ahead once must not stop the date for years.
	maxBehind = int64(7 * 24 * time.Hour)
)

// today returns the day at time now (ns on the monotonic clock).
func (c *calendar) today(now int64) *day {
	if d := c.state.Load(); d != nil && now < d.recheck {
		return d
	}
	return c.refresh(now)
}

func (c *calendar) refresh(now int64) *day {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.state.Load()
	if old != nil && now < old.recheck {
		return old
	}
	wall := c.wall().In(c.zone)
	d := &day{number: 1, date: limits.DateOf(wall), began: now, read: now, wall: wall, end: math.MaxInt64}
	if old != nil {
		d.number = old.number + 1
		behind := d.date < old.date
		if d.date == old.date || behind && now-old.began < maxBehind {
			d.number, d.date, d.began = old.number, old.date, old.began
		}
		// If the clock has caught up by then, the date lasts until its midnight.
		if behind && limits.DateOf(d.at(d.began+maxBehind)) < d.date {
			d.end = d.began + maxBehind
		}
	}
	d.end = min(d.end, now+min(int64(limits.DayStart(d.date+1, c.zone).Sub(wall)), 1<<60))
	d.recheck = min(now+recheckEvery, d.end)
	c.state.Store(d)
	return d
}

// at returns the wall time at a time of the monotonic clock.
func (d *day) at(now int64) time.Time { return d.wall.Add(time.Duration(now - d.read)) }

// after returns the monotonic time (ns) at a wall time.
func (d *day) after(wall time.Time) int64 { return d.read + int64(wall.Sub(d.wall)) }

// ParseZone returns the zone of a name from the IANA database, for example
// Europe/Berlin. The empty name is UTC; an unknown name is an error.
func ParseZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("zone %q: %w", name, err)
	}
	return zone, nil
}
