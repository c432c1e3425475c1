package limiter

import (
	"testing"
	"time"

	"github.com/penstockhq/penstock/limits"
)

// changing returns a clock that stands 10 ms before a full minute, and a row that
// changes with that minute.
func changing(before, after limits.Row) (*fakeClock, []limits.Binding) {
	clock := newFakeClock()
	clock.set(clock.Wall().Add(time.Minute - 10*time.Millisecond))
	return clock, []limits.Binding{{Row: after, Previous: &before, ChangedAt: clock.Wall()}}
}

// The first call leaves the window 0.2 ms before the limits change. The caller comes
// back in whole milliseconds, and that is after the change.
func TestAWaitThatRoundsOverAChangeOfLimitsIsAskedAgain(t *testing.T) {
	clock := newFakeClock()
	clock.set(clock.Wall().Add(-1200 * time.Microsecond)) // a minute begins after 1.2 ms
	m := New(WithClock(clock))
	before := limits.Row{TPM: 30}
	clock.advance(500 * time.Microsecond)
	admit(t, m, outputCall(30, global(before))) // counted as of 1 ms
	clock.advance(800 * time.Microsecond)
	rows := []limits.Binding{{Row: limits.Row{TPM: 1}, Previous: &before, ChangedAt: clock.Wall()}}
	refusal := refuse(t, m, outputCall(2, rows))
	if !refusal.Never {
		t.Errorf("two tokens never fit a limit of one, and the answer is to wait %v", refusal.RetryAfter)
	}
}

func TestAWaitForAChangeIsAHintWhileCallsRun(t *testing.T) {
	clock, rows := changing(limits.Row{MaxInFlight: 1}, limits.Row{MaxInFlight: 2})
	m := New(WithClock(clock))
	request := outputCall(1, rows)
	request.Timeout = 5 * time.Second
	admit(t, m, request)
	refusal := refuse(t, m, request)
	if refusal.RetryAfter != 10*time.Millisecond || !refusal.Hint {
		t.Errorf("wait %v, hint %v: the limit changes in 10 ms, but the call may end before", refusal.RetryAfter, refusal.Hint)
	}
}

// The minute's wait is the longer one, but the call in flight may outlast it.
func TestAWaitIsAHintIfAnyRuleBehindItIs(t *testing.T) {
	m := New(WithClock(newFakeClock()))
	request := outputCall(1, global(limits.Row{RPM: 1, MaxInFlight: 1}))
	request.Timeout = 5 * time.Second
	admit(t, m, request)
	refusal := refuse(t, m, request)
	if refusal.Rule != limits.RPM || refusal.RetryAfter < 59*time.Second || !refusal.Hint {
		t.Errorf("%v, wait %v, hint %v: want a hint of a minute for the requests", refusal.Rule, refusal.RetryAfter, refusal.Hint)
	}
}

// The week for which a date may be ahead ends on that very date: it goes on until its
// midnight.
func TestAWaitIsNeverEarlyAfterTheClockWasSetBack(t *testing.T) {
	const day = 24 * time.Hour
	for back := time.Duration(0); back < 10*day; back += 5 * time.Hour {
		for _, used := range []time.Duration{0, time.Hour, 13 * time.Hour} {
			clock := newFakeClock()
			m := New(WithClock(clock))
			rows := global(limits.Row{RPD: 1})
			clock.advance(used)
			admit(t, m, outputCall(0, rows))
			clock.set(clock.Wall().Add(-back))
			clock.advance(time.Second)
			wait := refuse(t, m, outputCall(0, rows)).RetryAfter
			clock.advance(wait - time.Millisecond)
			refuse(t, m, outputCall(0, rows))
			clock.advance(time.Millisecond)
			admit(t, m, outputCall(0, rows))
		}
	}
}
