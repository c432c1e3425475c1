package limiter

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/limits"
)

// TestFloodIsServedToTheLimit sends ten times what is allowed, with logs that
// are merged: at most the limit gets through in any minute, and nearly all of it.
func TestFloodIsServedToTheLimit(t *testing.T) {
	for _, test := range []struct {
		limit   int
		entries int
		least   float64 // of what the exact log admits
	}{{600, 1024, 1}, {1024, 1024, 1}, {5000, 1024, 0.998}, {5000, 64, 0.96}} {
		t.Run(fmt.Sprint(test.limit, " rpm, ", test.entries, " entries"), func(t *testing.T) {
			clock := newFakeClock()
			m := New(WithClock(clock), WithEntries(test.entries))
			rows := global(limits.Row{RPM: int64(test.limit)})
			var log, exactLog []time.Duration
			first := 0 // of the log in the last minute
			gap := 6 * time.Second / time.Duration(test.limit)
			for clock.monotonic < 5*time.Minute {
				if len(exactLog) < test.limit || exactLog[len(exactLog)-test.limit] <= clock.monotonic-time.Minute {
					exactLog = append(exactLog, clock.monotonic)
				}
				decision, err := m.Reserve(background, outputCall(0, rows))
				if err != nil {
					t.Fatal(err)
				}
				if decision.Admitted {
					log = append(log, clock.monotonic)
					settle(t, m, decision.Handle, Tokens{})
					for log[first] <= clock.monotonic-time.Minute {
						first++
					}
					if n := len(log) - first; n > test.limit {
						t.Fatalf("%d calls in a minute, want at most %d", n, test.limit)
					}
				}
				clock.advance(gap)
			}
			if share := float64(len(log)) / float64(len(exactLog)); share < test.least-0.0005 {
				t.Errorf("%d calls were admitted, %.2f %% of the exact %d", len(log), 100*share, len(exactLog))
			}
		})
	}
}

// TestMergedEntriesLeaveAtMostOneSlotLate fills a small log far beyond its size:
// what was merged may leave late, but by no more than the documented 2/entries of
// the window.
func TestMergedEntriesLeaveAtMostOneSlotLate(t *testing.T) {
	const entries, calls, gap = 64, 200, 290 * time.Millisecond
	const slot = 2 * Window / entries
	for start := time.Duration(0); start < 4*slot; start += slot / 2 {
		clock := newFakeClock()
		clock.advance(start)
		m := New(WithClock(clock), WithEntries(entries))
		rows := global(limits.Row{RPM: calls})
		for range calls {
			settle(t, m, admit(t, m, outputCall(0, rows)), Tokens{})
			clock.advance(gap)
		}
		exact := Window - calls*gap // until the first call leaves
		if wait := refuse(t, m, outputCall(0, rows)).RetryAfter; wait > exact+slot+2*time.Millisecond {
			t.Errorf("started at %v: the wait is %v, more than a slot of %v behind the exact %v", start, wait, slot, exact)
		}
	}
}

// TestParallelUseOfEverythingEndsBalanced lets many callers do everything at once
// in a few shards, and then looks at what is left.
func TestParallelUseOfEverythingEndsBalanced(t *testing.T) {
	m := New(WithMaxKeys(40))
	rows := []limits.Binding{
		{Row: limits.Row{RPM: 1 << 40, TPM: 1 << 40, MaxInFlight: 5}},
		{Row: limits.Row{Model: "tiny", TPM: 1 << 40, TokenType: limits.Output}},
	}
	keys := append(sameShard(m, "key", 30), "one", "two", "three")
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 1500 {
				request := Request{Key: keys[random.IntN(len(keys))], Model: "tiny", Tokens: Tokens{10, 10}, Rows: rows}
				if err := useOnce(m, request, random); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	for _, key := range keys {
		for _, scope := range usage(t, m, Request{Key: key, Model: "tiny", Rows: rows}).Scopes {
			if scope.InFlight != 0 || scope.Reserved != (Tokens{}) {
				t.Errorf("%s is left with %+v", key, scope)
			}
			if !scope.Shared && scope.Window.Tokens != 12*scope.Window.Requests {
				t.Errorf("%s has %d requests of 12 tokens, and %d tokens", key, scope.Window.Requests, scope.Window.Tokens)
			}
		}
	}
}

// useOnce makes one call, in one of the ways there are.
func useOnce(m *Memory, request Request, random *rand.Rand) error {
	decision, err := m.Reserve(background, request)
	if err != nil || !decision.Admitted {
		return err
	}
	switch random.IntN(20) {
	case 0:
		return m.Cancel(background, decision.Handle)
	case 1:
		if err := m.Export(&bytes.Buffer{}); err != nil {
			return err
		}
	case 2:
		if _, err := m.Inspect(background, request); err != nil {
			return err
		}
	case 3, 4:
		more := request
		more.Tokens.Output += 50
		if _, err := m.Extend(background, decision.Handle, more); err != nil {
			return err
		}
	case 5:
		if err := m.Settle(background, Handle{ID: 1}, Tokens{}); !errors.Is(err, ErrForged) {
			return fmt.Errorf("a forged handle gives %w", err)
		}
	}
	return m.Settle(background, decision.Handle, Tokens{5, 7})
}

// TestParallelCallersGetTheLimitInEveryWindow lets callers race for what is left,
// again and again, while time passes between the races.
func TestParallelCallersGetTheLimitInEveryWindow(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock))
	const limit = 50
	rows := global(limits.Row{RPM: limit})
	var mu sync.Mutex
	var admitted []time.Duration
	for range 400 {
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for range 5 {
					decision, err := m.Reserve(background, outputCall(0, rows))
					if err != nil {
						t.Error(err)
					}
					if decision.Admitted {
						mu.Lock()
						admitted = append(admitted, clock.Monotonic())
						mu.Unlock()
					}
				}
			})
		}
		group.Wait()
		clock.advance(731 * time.Millisecond)
	}
	slices.Sort(admitted)
	for i := limit; i < len(admitted); i++ {
		if admitted[i]-admitted[i-limit] < time.Minute {
			t.Fatalf("%d calls between %v and %v", limit+1, admitted[i-limit], admitted[i])
		}
	}
	if least := limit * 4; len(admitted) < least {
		t.Errorf("%d calls were admitted, want at least %d", len(admitted), least)
	}
}
