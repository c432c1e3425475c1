package limiter_test

import (
	"context"
	"fmt"
	"time"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

// frozen is a clock that stands still, so that the waits below are what they are.
type frozen struct{}

func (frozen) Monotonic() time.Duration { return time.Hour }
func (frozen) Wall() time.Time          { return time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC) }

// A key may make two calls a minute, and use 1,000 tokens.
func Example() {
	ctx := context.Background()
	m := limiter.New(limiter.WithClock(frozen{}))
	request := limiter.Request{
		Key:    "pk_7Qf2",
		Tokens: limiter.Tokens{Input: 200, Output: 500}, // the upper bound of one call
		Rows:   []limits.Binding{{Row: limits.Row{RPM: 2, TPM: 1000}}},
	}
	first, err := m.Reserve(ctx, request)
	if err != nil {
		fmt.Println(err)
		return
	}
	second, _ := m.Reserve(ctx, request)
	fmt.Println(second.Admitted, second.Refusal.Rule, second.Refusal.Used, second.Refusal.RetryAfter)

	// The first call used less than it reserved. Now the second one fits.
	if err := m.Settle(ctx, first.Handle, limiter.Tokens{Input: 180, Output: 20}); err != nil {
		fmt.Println(err)
	}
	second, _ = m.Reserve(ctx, request)
	fmt.Println(second.Admitted, second.Tokens.Remaining)
	// Output:
	// false tpm 700 1m0s
	// true 100
}

// What a key has used, and when a call would fit, without making one.
func ExampleMemory_Inspect() {
	m := limiter.New(limiter.WithClock(frozen{}))
	request := limiter.Request{Key: "pk_7Qf2", Rows: []limits.Binding{{Row: limits.Row{RPM: 1}}}}
	if _, err := m.Reserve(context.Background(), request); err != nil {
		fmt.Println(err)
		return
	}
	state, err := m.Inspect(context.Background(), request)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(state.Admitted, state.Refusal.RetryAfter, state.Scopes[0].InFlight)
	// Output: false 1m0s 1
}
