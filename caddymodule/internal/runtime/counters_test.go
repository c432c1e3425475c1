package runtime

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

// clock is one that tests move.
type clock struct{ now time.Duration }

func (c *clock) Monotonic() time.Duration { return c.now }
func (c *clock) Wall() time.Time {
	return time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC).Add(c.now)
}

func TestTheLimiterCountsAsConfigured(t *testing.T) {
	// A minute after a call of 500 tokens began that still runs, does another one fit?
	fits := func(counting Counting) bool {
		now := new(clock)
		m := limiter.New(append(counting.options(time.UTC), limiter.WithClock(now))...)
		request := limiter.Request{
			Key: "key", Tokens: limiter.Tokens{Output: 500}, Rows: []limits.Binding{{Row: limits.Row{TPM: 900}}},
		}
		if first, err := m.Reserve(t.Context(), request); err != nil || !first.Admitted {
			t.Fatalf("%+v, %v", first, err)
		}
		now.now += time.Minute + time.Millisecond
		second, err := m.Reserve(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		return second.Admitted
	}
	if !fits(Counting{}) || fits(Counting{Strict: true}) {
		t.Error("strict must keep the tokens of a call that runs, and nothing else must")
	}

	// How many of 10,000 keys share a counter with others?
	shared := func(counting Counting) (count int) {
		m := limiter.New(counting.options(time.UTC)...)
		for i := range 10_000 {
			request := limiter.Request{Key: fmt.Sprint(i), Rows: []limits.Binding{{Row: limits.Row{RPM: 1e6}}}}
			if _, err := m.Reserve(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			state, err := m.Inspect(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if state.Scopes[0].Shared {
				count++
			}
		}
		return count
	}
	if all, most := shared(Counting{}), shared(Counting{MaxScopes: 1000}); all != 0 || most < 8000 {
		t.Errorf("%d keys share a counter, and %d with 1,000 scopes", all, most)
	}

	// How many calls, of one in each millisecond, are still counted though they should
	// not be, in the sum of many moments?
	late := func(counting Counting) (sum int64) {
		now := new(clock)
		m := limiter.New(append(counting.options(time.UTC), limiter.WithClock(now))...)
		request := limiter.Request{Key: "key", Rows: []limits.Binding{{Row: limits.Row{RPM: 1e6}}}}
		for range 60_000 {
			now.now += time.Millisecond
			if _, err := m.Reserve(t.Context(), request); err != nil {
				t.Fatal(err)
			}
		}
		for left := int64(60_000); left > 1000; left -= 777 {
			state, err := m.Inspect(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			sum += state.Scopes[0].Window.Requests - left
			now.now += 777 * time.Millisecond
		}
		return sum
	}
	if few, usual, many := late(Counting{LogEntries: 64}), late(Counting{}), late(Counting{LogEntries: 32768}); few <= usual || usual <= many {
		t.Errorf("calls that leave late: %d with 64 entries, %d, and %d with 32768", few, usual, many)
	}
}
