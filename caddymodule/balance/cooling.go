package balance

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultCoolDown is how long an upstream gets no calls after its first failure.
	DefaultCoolDown = time.Second
	// DefaultMaxCoolDown is the longest that an upstream gets no calls.
	DefaultMaxCoolDown = 30 * time.Second
)

// Cooling keeps calls away from an upstream that fails, or says that it is busy. After a failure the upstream
// gets none for a while; then one call at a time finds out how it is, and each
// failure doubles the wait up to a limit. The first answer ends it.
//
// It is safe for concurrent use.
type Cooling struct {
	first, longest time.Duration
	now            func() time.Time

	busy    atomic.Int64 // until then it wants no call, in nanoseconds since 1970
	failing atomic.Bool  // without the lock: the usual case is that it is not
	mutex   sync.Mutex
	since   time.Time // of the first failure
	until   time.Time
	pause   time.Duration // of the last failure
	probing bool          // a call has been let through since then
}

// NewCooling returns the Cooling of an upstream that has not failed. first is the wait
// after one failure, longest the limit of the wait; first 0 never waits.
func NewCooling(first, longest time.Duration, now func() time.Time) *Cooling {
	return &Cooling{first: first, longest: max(first, longest), now: now}
}

// Ready reports whether the upstream may get a call now.
func (c *Cooling) Ready() bool {
	if c.isBusy() {
		return false
	}
	if !c.failing.Load() {
		return true
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return !c.failing.Load() || !c.now().Before(c.until)
}

// isBusy reports whether the upstream has said that it wants no call now.
func (c *Cooling) isBusy() bool {
	until := c.busy.Load()
	return until != 0 && c.now().UnixNano() < until
}

// Failing reports whether the upstream failed, and has not answered since.
func (c *Cooling) Failing() bool { return c.failing.Load() }

// Take claims the call that finds out how a failing upstream is. It is false if the
// upstream is not ready, or another call has claimed it. A claim needs no release: if the
// call tells nothing, the next one may go after as long a wait.
func (c *Cooling) Take() bool {
	if c.isBusy() {
		return false
	}
	if !c.failing.Load() {
		return true
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.failing.Load() {
		return true
	}
	now := c.now()
	if now.Before(c.until) {
		return false
	}
	c.until, c.probing = now.Add(c.pause), true
	return true
}

// Failed implements middleware.UpstreamObserver. Calls that were running when an upstream
// died all fail; together they count once.
func (c *Cooling) Failed() {
	if c.first <= 0 {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	now := c.now()
	switch {
	case !c.failing.Load():
		c.pause, c.since = c.first, now
	case c.probing || !now.Before(c.until):
		c.pause = min(2*c.pause, c.longest)
	default:
		return
	}
	c.until, c.probing = now.Add(c.pause), false
	c.failing.Store(true)
}

// Answered implements middleware.UpstreamObserver.
func (c *Cooling) Answered() { c.answered() }

// answered returns for how long the upstream had failed, 0 if it had not.
func (c *Cooling) answered() time.Duration {
	if !c.failing.Load() {
		return 0
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.failing.Load() {
		return 0
	}
	c.probing = false
	c.failing.Store(false)
	return c.now().Sub(c.since)
}

// Busy implements middleware.UpstreamObserver. Until the wait is over, though no longer than
// after failures, the upstream gets no calls. Answers to calls that were running do not
// end it.
func (c *Cooling) Busy(wait time.Duration) {
	c.Answered()
	if c.first > 0 {
		c.busy.Store(c.now().Add(min(wait, c.longest)).UnixNano())
	}
}

// coolings are the Coolings of upstreams, by address.
type coolings struct {
	first, longest time.Duration
	mutex          sync.Mutex
	byAddress      map[string]*Cooling
}

// maxCoolings is how many upstreams are remembered. Dynamic upstreams may have ever new
// addresses.
const maxCoolings = 4096

// find returns the Cooling of an address.
func (c *coolings) find(address string) *Cooling {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if known := c.byAddress[address]; known != nil {
		return known
	}
	if c.byAddress == nil || len(c.byAddress) >= maxCoolings {
		c.byAddress = map[string]*Cooling{}
	}
	made := NewCooling(c.first, c.longest, time.Now)
	c.byAddress[address] = made
	return made
}
