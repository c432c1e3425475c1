package limiter

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/limits"
)

// fakeClock is a clock that a test moves.
type fakeClock struct {
	mu        sync.Mutex
	monotonic time.Duration
	wall      time.Time
}

func newFakeClock() *fakeClock {
	return &fakeClock{wall: time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)}
}

func (c *fakeClock) Monotonic() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.monotonic
}

func (c *fakeClock) Wall() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

// advance lets time pass.
func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.monotonic += d
	c.wall = c.wall.Add(d)
}

// set sets the wall clock alone, as an administrator or NTP would.
func (c *fakeClock) set(wall time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = wall
}

var background = context.Background()

// global returns rows with these limits for the whole key.
func global(row limits.Row) []limits.Binding { return []limits.Binding{{Row: row}} }

// outputCall returns a request for n tokens of output.
func outputCall(n int64, rows []limits.Binding) Request {
	return Request{Key: "key", Tokens: Tokens{Output: n}, Rows: rows}
}

func admit(t *testing.T, m *Memory, request Request) Handle {
	t.Helper()
	decision, err := m.Reserve(background, request)
	if err != nil {
		t.Fatalf("reserve: %v", err)
	}
	if !decision.Admitted {
		t.Fatalf("reserve was refused: %+v", decision.Refusal)
	}
	return decision.Handle
}

func refuse(t *testing.T, m *Memory, request Request) Refusal {
	t.Helper()
	decision, err := m.Reserve(background, request)
	if err != nil {
		t.Fatalf("reserve: %v", err)
	}
	if decision.Admitted {
		t.Fatalf("reserve was admitted, headroom %+v", decision)
	}
	return decision.Refusal
}

func settle(t *testing.T, m *Memory, handle Handle, actual Tokens) {
	t.Helper()
	if err := m.Settle(background, handle, actual); err != nil {
		t.Fatalf("settle: %v", err)
	}
}
