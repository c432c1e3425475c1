// Package suite is the property test of limiters. It drives a limiter through random
// traces of calls beside an oracle that sums up plain lists, and compares every
// decision, every wait and, after every step, every figure that is counted. Every store
// of counters passes the same suite.
package suite

import (
	"context"
	"flag"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstockhq/penstock/limiter"
)

// Limiter is what every store of counters offers. One that also has the method Extend
// of limiter.Memory is tested for it.
type Limiter interface {
	Reserve(ctx context.Context, request limiter.Request) (limiter.Decision, error)
	Settle(ctx context.Context, handle limiter.Handle, actual limiter.Tokens) error
	Cancel(ctx context.Context, handle limiter.Handle) error
	Inspect(ctx context.Context, request limiter.Request) (limiter.State, error)
}

// extender is a limiter whose reservations can be raised.
type extender interface {
	Extend(ctx context.Context, handle limiter.Handle, request limiter.Request) (limiter.Decision, error)
}

// Settings are how a trace wants its limiter.
type Settings struct {
	Clock   *Clock
	Zone    *time.Location
	Strict  bool
	Entries int
}

// Options returns the settings as those of a limiter in memory.
func (s *Settings) Options() []limiter.Option {
	options := []limiter.Option{limiter.WithClock(s.Clock), limiter.WithZone(s.Zone), limiter.WithEntries(s.Entries)}
	if s.Strict {
		options = append(options, limiter.WithStrict())
	}
	return options
}

// Subject is a kind of limiter to test.
type Subject struct {
	// New returns an empty limiter, and names of keys that meet in its tables: at least
	// 12.
	New func(t *rapid.T, settings *Settings) (Limiter, []string)
	// Restart, if not nil, returns a limiter that goes on with the counters of another,
	// whose calls in flight have ended at what they reserved.
	Restart func(t *rapid.T, settings *Settings, before Limiter) Limiter
	// Lease, if not 0, is how long a call without a timeout stays in flight.
	Lease time.Duration
	// OneClock says that windows and days are measured with the same clock, so that the
	// wall clock cannot be set alone.
	OneClock bool
}

// Checks sets how many traces the suite tries where -rapid.checks does not say. Call it
// in TestMain.
func Checks(count string) {
	for name, value := range map[string]string{"rapid.checks": count, "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
}

// Run drives the subject and the oracle through random traces.
func (s *Subject) Run(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := s.newDriver(t)
		actions := map[string]func(*rapid.T){
			"reserve": d.reserve, "reserve again": d.reserve, "reserve more": d.reserve,
			"burst": d.burst, "burst more": d.burst,
			"advance": d.advance, "advance more": d.advance,
			"settle": d.settle, "settle one more": d.settle,
			"cancel":        d.cancel,
			"change limits": d.changeLimits,
			"others":        d.others,
			"":              d.compareUsage,
		}
		if _, ok := d.m.(extender); ok {
			actions["extend"] = d.extend
		}
		if !s.OneClock {
			actions["set clock"] = d.setClock
		}
		if s.Restart != nil {
			actions["restart"] = d.restart
		}
		t.Repeat(actions)
	})
}

// Clock is a clock that a trace moves.
type Clock struct {
	mu        sync.Mutex
	monotonic time.Duration
	wall      time.Time
}

// Monotonic implements limiter.Clock.
func (c *Clock) Monotonic() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.monotonic
}

// Wall implements limiter.Clock.
func (c *Clock) Wall() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

// Advance lets time pass, or goes back.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.monotonic += d
	c.wall = c.wall.Add(d)
}

// Set sets the wall clock alone, as an administrator or NTP would.
func (c *Clock) Set(wall time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = wall
}

// NewClock returns a clock that stands at a time. It may go back by less than 1,000 hours.
func NewClock(wall time.Time) *Clock { return &Clock{wall: wall, monotonic: 1000 * time.Hour} }
