package ledger

import (
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/penstockhq/penstock/internal/clip"
)

// CrashPolicy says what happens to streams that ran when the process died. Calls
// that are not streams are never charged then: their callers got nothing. Either have
// an entry with OutcomeInterrupted, and count as a request.
type CrashPolicy uint8

const (
	// CrashCheckpoint charges the consumption of the last checkpoint. It is the default.
	CrashCheckpoint CrashPolicy = iota
	// CrashRelease charges nothing.
	CrashRelease
	// CrashFull charges the whole hold. It costs one more entry for each stream, when the
	// stream starts.
	CrashFull
)

var crashPolicies = [...]string{"checkpoint", "release", "full"}

// String returns checkpoint, release or full.
func (p CrashPolicy) String() string { return crashPolicies[min(int(p), len(crashPolicies)-1)] }

// CrashPolicies returns the names of all policies.
func CrashPolicies() []string { return crashPolicies[:] }

// ParseCrashPolicy reads what String returns.
func ParseCrashPolicy(text string) (CrashPolicy, error) {
	if i := slices.Index(crashPolicies[:], text); i >= 0 {
		return CrashPolicy(i), nil
	}
	return 0, &InvalidError{Field: "on_crash", Reason: fmt.Sprintf("%q is none of %s", clip.Text(text), strings.Join(crashPolicies[:], ", "))}
}

const (
	// DefaultSnapshotEvery is how many entries come between two snapshots.
	DefaultSnapshotEvery = 50_000
	// DefaultReserve is the free disk space in bytes below which no call is admitted.
	DefaultReserve = 64 << 20
)

// config is what options set.
type config struct {
	now             func() time.Time
	zone            *time.Location
	random          io.Reader
	crash           CrashPolicy
	snapshotEvery   int64
	reserve         int64
	maxLag          time.Duration
	maxPending      int
	checkpointEvery time.Duration
	events          func(Event)
	manual          bool // tests: no goroutines, the test commits
	commitWait      time.Duration
	after           func(time.Duration) <-chan time.Time
	recordAfter     time.Duration
	running         []Running // calls of the process that has handed the ledger over
}

func newConfig(options []Option) (config, error) {
	c := config{
		now: time.Now, zone: time.UTC, random: rand.Reader,
		snapshotEvery: DefaultSnapshotEvery, reserve: DefaultReserve, maxLag: 2 * time.Second,
		maxPending: 1 << 16, checkpointEvery: 5 * time.Second, events: func(Event) {}, commitWait: DefaultCommitWait,
		after: time.After, recordAfter: recordAfter,
	}
	for _, option := range options {
		option(&c)
	}
	if err := c.validate(); err != nil {
		return c, fmt.Errorf("open ledger: %w", err)
	}
	return c, nil
}

// validate checks what options have set.
func (c *config) validate() error {
	switch {
	case c.crash > CrashFull:
		return &InvalidError{Field: "on_crash", Reason: fmt.Sprintf("%d is no policy", c.crash)}
	case c.snapshotEvery < 1:
		return &InvalidError{Field: "snapshot_every", Reason: "must be at least 1"}
	case c.reserve < 0:
		return &InvalidError{Field: "disk_reserve", Reason: "is negative"}
	}
	return nil
}

// Option changes a setting of a ledger. Open returns an *InvalidError for values that
// are out of range.
type Option func(*config)

// WithClock sets the clock; by default time.Now. The clock may jump backwards: the times
// of entries do not. It must not lag behind real time by more than the calls' deadlines
// allow.
func WithClock(now func() time.Time) Option {
	return func(c *config) { c.now = now }
}

// WithZone sets the time zone in whose midnight the days of limits end; by default UTC.
// It should be that of the limiter: if a key's limits are changed again before the first
// change takes effect, the zone decides which limits are in force until then.
func WithZone(zone *time.Location) Option {
	return func(c *config) {
		if zone != nil {
			c.zone = zone
		}
	}
}

// WithRandom sets where keys' secrets and ids come from; by default crypto/rand.
func WithRandom(source io.Reader) Option {
	return func(c *config) { c.random = source }
}

// WithCrashPolicy says what happens to streams that ran when the process died.
func WithCrashPolicy(policy CrashPolicy) Option {
	return func(c *config) { c.crash = policy }
}

// WithSnapshotEvery sets how many entries come between two snapshots; by default
// DefaultSnapshotEvery. Fewer make the next start faster.
func WithSnapshotEvery(entries int64) Option {
	return func(c *config) { c.snapshotEvery = entries }
}

// WithRunning continues the calls that HandOver of the process before has returned. One
// that the log does not know to be running is left out.
func WithRunning(calls []Running) Option { return func(c *config) { c.running = calls } }

// WithReserve sets the free disk space in bytes below which no call is admitted,
// so that there is room left for the charges of those that run; by default
// DefaultReserve.
func WithReserve(bytes int64) Option {
	return func(c *config) { c.reserve = bytes }
}

// WithEvents sets a function that is called for each write-off and failure. It is called
// by the goroutine that caused the event, without locks, and must return soon.
func WithEvents(observe func(Event)) Option {
	return func(c *config) {
		if observe != nil {
			c.events = observe
		}
	}
}

// EventKind says what happened.
type EventKind uint8

const (
	// EventWriteOff is a part of a price that hold, balance and budget did not cover.
	EventWriteOff EventKind = iota + 1
	// EventFailed is a write that failed: no call is admitted from now on.
	EventFailed
)

// String returns write_off or failed.
func (k EventKind) String() string {
	return [...]string{"", "write_off", "failed"}[min(k, EventFailed)]
}

// Event is something that an operator may want to know.
type Event struct {
	Kind    EventKind
	Account string
	KeyID   string
	Amount  Micro // written off
	Err     error // of EventFailed
}
