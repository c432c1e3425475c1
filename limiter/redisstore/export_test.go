package redisstore

import (
	"strings"
	"time"

	"github.com/penstockhq/penstock/limiter"
)

// clockOfArguments takes the place of the server's clock in tests.
const clockOfArguments = `
local sec, usec = 0, 0
local ms, stamp, wall = tonumber(ARGV[#ARGV - 2]), tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV])
`

// withClock measures windows and days with a clock of the test. Its time begins where
// that of the limiter in memory does, so that both merge the same entries.
func withClock(clock limiter.Clock) Option {
	return func(s *Store) {
		s.scripts, s.stale = newScripts(clockOfArguments), 0
		s.gather = 0
		s.clock = func() moment {
			now, wall := clock.Monotonic()+2*limiter.Window, clock.Wall()
			return moment{now: now, wall: wall, arguments: []any{
				now.Milliseconds(), (now + time.Millisecond - 1).Milliseconds(), wall.UnixMilli(),
			}}
		}
	}
}

// withFault replaces text of the scripts, for tests that must find the fault.
func withFault(before, after string) Option {
	return func(s *Store) {
		for _, script := range []**script{&s.scripts.admit, &s.scripts.settle} {
			*script = newScript(strings.Replace((*script).source, before, after, 1))
		}
	}
}
