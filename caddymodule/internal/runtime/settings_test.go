package runtime

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
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
	fits := func(settings Settings) bool {
		settings.Zone = time.UTC
		now := new(clock)
		m := limiter.New(append(settings.limiter(), limiter.WithClock(now))...)
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
	if !fits(Settings{}) || fits(Settings{Strict: true}) {
		t.Error("strict must keep the tokens of a call that runs, and nothing else must")
	}

	// How many of 10,000 keys share a counter with others?
	shared := func(settings Settings) (count int) {
		settings.Zone = time.UTC
		m := limiter.New(settings.limiter()...)
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
	if all, most := shared(Settings{}), shared(Settings{MaxScopes: 1000}); all != 0 || most < 8000 {
		t.Errorf("%d keys share a counter, and %d with 1,000 scopes", all, most)
	}

	// How many calls, of one in each millisecond, are still counted though they should
	// not be, in the sum of many moments?
	late := func(settings Settings) (sum int64) {
		settings.Zone = time.UTC
		now := new(clock)
		m := limiter.New(append(settings.limiter(), limiter.WithClock(now))...)
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
	if few, usual, many := late(Settings{LogEntries: 64}), late(Settings{}), late(Settings{LogEntries: 32768}); few <= usual || usual <= many {
		t.Errorf("calls that leave late: %d with 64 entries, %d, and %d with 32768", few, usual, many)
	}
}

func TestChangedSettingsAreNamed(t *testing.T) {
	old := Settings{Zone: time.UTC, SnapshotEvery: 7}
	for name, changed := range map[string]Settings{
		"[]":               {Zone: time.FixedZone("UTC", 0), SnapshotEvery: 7},
		"[zone]":           {Zone: time.FixedZone("X", 1), SnapshotEvery: 7},
		"[on_crash]":       {Zone: time.UTC, SnapshotEvery: 7, OnCrash: ledger.CrashFull},
		"[disk_reserve]":   {Zone: time.UTC, SnapshotEvery: 7, DiskReserve: 1},
		"[snapshot_every]": {Zone: time.UTC},
		"[limiter]":        {Zone: time.UTC, SnapshotEvery: 7, LogEntries: 64},
		"[limiter] ":       {Zone: time.UTC, SnapshotEvery: 7, Redis: Redis{Addresses: "localhost:6379"}},
		"[limiter zone]":   {Zone: time.FixedZone("X", 1), SnapshotEvery: 7, Strict: true},
	} {
		if got := fmt.Sprint(old.Changed(&changed)); got != strings.TrimSpace(name) {
			t.Errorf("changed are %s, want %s", got, name)
		}
	}
}
