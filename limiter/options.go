package limiter

import (
	"math/bits"
	"time"
)

// Option changes a setting of New.
type Option func(*Memory)

// WithZone sets the zone whose midnights end the day of RPD and TPD. The default
// is UTC, also for nil.
func WithZone(zone *time.Location) Option {
	return func(m *Memory) {
		if zone != nil {
			m.calendar.zone = zone
		}
	}
}

// WithClock replaces the machine's clocks, for tests and simulations.
func WithClock(clock Clock) Option {
	return func(m *Memory) {
		m.clock = clock
		m.calendar.wall = clock.Wall
	}
}

// WithStrict keeps the whole reservation of a call charged until it is settled,
// and charges the actual tokens to the minute of the settlement. Then TPM also
// bounds what is produced in any minute, not only what is admitted, at the price
// of throughput: a long call occupies its tokens for as long as it runs.
func WithStrict() Option {
	return func(m *Memory) { m.strict = true }
}

// DefaultMaxKeys is how many scopes a limiter tracks unless WithMaxKeys says
// otherwise. Full of keys with one request each they take about half a GiB.
const DefaultMaxKeys = 1 << 22

// WithMaxKeys bounds how many scopes are tracked: keys, and keys' uses of a
// model. When all are in use, further keys share one scope per shard: they are
// limited together, never over. Values below 1 mean DefaultMaxKeys.
func WithMaxKeys(n int) Option {
	return func(m *Memory) {
		if n >= 1 {
			m.maxKeys = int64(n)
		}
	}
}

// DefaultEntries is how many log entries a scope keeps unless WithEntries says
// otherwise.
const DefaultEntries = 1024

// WithEntries sets how many log entries of 8 bytes a scope keeps before it
// merges neighbours, rounded up to a power of two between 64 and 32768. Merged
// entries leave the window up to 2/n of it late (117 ms for the default of
// 1024), never early. A scope that admits at most n requests a minute never
// merges any.
func WithEntries(n int) Option {
	return func(m *Memory) {
		n = max(64, min(n, 32768))
		m.entries = 1 << bits.Len(uint(n-1))
	}
}
