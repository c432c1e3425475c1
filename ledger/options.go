package ledger

import (
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/penstockhq/penstock/internal/clip"
)

// Durability says what the end of a call waits for. Top-ups, key changes and
// revocations always wait until they are durable.
type Durability uint8

const (
	// DurabilitySettle makes Settle return when the charge is durable. It is the
	// default: who saw the end of an answer can find its charge, even after a power
	// loss.
	DurabilitySettle Durability = iota
	// DurabilityInterval makes Settle return at once; charges become durable within
	// the interval. A crash loses at most that much, in the callers' favour.
	DurabilityInterval
)

// CrashPolicy says what happens to streams that ran when the process died. Calls
// that are not streams are never charged then: their callers got nothing.
type CrashPolicy uint8

const (
	// CrashCheckpoint charges what the last checkpoint says. It is the default.
	CrashCheckpoint CrashPolicy = iota
	// CrashRelease charges nothing.
	CrashRelease
	// CrashFull charges the whole hold. It writes one more entry for each stream, at
	// its start.
	CrashFull
)

// config is what options set.
type config struct {
	now             func() time.Time
	zone            *time.Location
	random          io.Reader
	prefix          string
	defaultPrice    *Price
	durability      Durability
	interval        time.Duration
	crash           CrashPolicy
	grace           time.Duration
	snapshotEvery   int64
	reserve         int64
	maxLag          time.Duration
	maxPending      int
	checkpointEvery time.Duration
	events          func(Event)
	manual          bool // tests: no goroutines, the test commits
	commitWait      time.Duration
	after           func(time.Duration) <-chan time.Time
}

func newConfig(options []Option) (config, error) {
	c := config{
		now: time.Now, zone: time.UTC, random: rand.Reader, prefix: defaultPrefix, interval: 100 * time.Millisecond,
		grace: 30 * time.Second, snapshotEvery: 50_000, reserve: 64 << 20, maxLag: 2 * time.Second,
		maxPending: 1 << 16, checkpointEvery: 5 * time.Second, events: func(Event) {}, commitWait: DefaultCommitWait,
		after: time.After,
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
	case !prefixPattern.MatchString(c.prefix):
		return &InvalidError{Field: "prefix", Reason: fmt.Sprintf("%q must match %s", clip.Text(c.prefix), prefixPattern)}
	case c.interval < 10*time.Millisecond || c.interval > time.Second:
		return &InvalidError{Field: "interval", Reason: fmt.Sprintf("%s is not between 10ms and 1s", c.interval)}
	case c.snapshotEvery < 1:
		return &InvalidError{Field: "snapshot_every", Reason: "must be at least 1"}
	case c.defaultPrice != nil:
		return c.defaultPrice.validate()
	}
	return nil
}

// Option changes how a ledger works. Open refuses values that cannot be.
type Option func(*config)

// WithClock sets the clock. It must not be slower than the real one by more than
// the calls' deadlines allow; it may run backwards, entries' times do not.
func WithClock(now func() time.Time) Option {
	return func(c *config) { c.now = now }
}

// WithZone sets the zone whose midnights end the days of limits, by default UTC. It
// should be that of the limiter: where a key's limits are changed twice before the
// first change acts, it tells which of them the second one follows.
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

// WithPrefix sets the first part of new keys' texts, by default "pk": a lower-case
// letter and up to 15 lower-case letters or digits. Keys with another prefix stop
// being recognised.
func WithPrefix(prefix string) Option { return func(c *config) { c.prefix = prefix } }

// WithDefaultPrice sets the price of models without one of their own. By default
// that is one credit a minute.
func WithDefaultPrice(price Price) Option {
	return func(c *config) { c.defaultPrice = &price }
}

// WithInterval chooses DurabilityInterval: charges become durable within the
// interval, 10 ms to 1 s.
func WithInterval(interval time.Duration) Option {
	return func(c *config) { c.durability, c.interval = DurabilityInterval, interval }
}

// WithCrashPolicy says what happens to streams that ran when the process died.
func WithCrashPolicy(policy CrashPolicy) Option {
	return func(c *config) { c.crash = policy }
}

// WithGrace sets how long after its deadline a hold is given back by the ledger
// itself; by default 30 s.
func WithGrace(grace time.Duration) Option {
	return func(c *config) { c.grace = grace }
}

// WithSnapshotEvery sets how many entries come between two snapshots; by default
// 50,000. Fewer make the next start faster.
func WithSnapshotEvery(entries int64) Option {
	return func(c *config) { c.snapshotEvery = entries }
}

// WithReserve sets the free disk space in bytes below which no call is admitted,
// so that there is room left for the charges of those that run; by default 64 MiB.
func WithReserve(bytes int64) Option {
	return func(c *config) { c.reserve = bytes }
}

// WithEvents sets who hears of write-offs and failures. The function is called from
// the goroutine that caused the event, without locks, and must return soon.
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
	// EventWriteOff is a part of a price that neither hold nor balance nor budget
	// covered.
	EventWriteOff EventKind = iota + 1
	// EventFailed is a write that failed: from now on nothing is admitted.
	EventFailed
)

// String returns write_off or failed.
func (k EventKind) String() string {
	return [...]string{"", "write_off", "failed"}[min(k, EventFailed)]
}

// Event is something that an operator may want to hear of.
type Event struct {
	Kind    EventKind
	Account string
	KeyID   string
	Amount  Micro // written off
	Err     error // of EventFailed
}
