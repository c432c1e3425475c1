// Package limiter holds callers to exact limits: requests and tokens in every
// rolling 60-second window, requests and tokens per civil day, and calls in
// flight, for a key and for a key's use of one model, all or nothing.
//
// A call reserves an upper bound of its tokens when it is admitted, and settles to
// what it really used when it ends:
//
//	m := limiter.New(limiter.WithZone(berlin))
//	decision, err := m.Reserve(ctx, limiter.Request{
//		Key: "pk_7Qf2", Model: "tiny",
//		Tokens: limiter.Tokens{Input: 900, Output: 512},
//		Rows:   []limits.Binding{{Row: limits.Row{RPM: 60, TPM: 30_000}}},
//	})
//	if !decision.Admitted {
//		return decision.Refusal // names the rule, and the wait to the millisecond
//	}
//	// run the call, then
//	err = m.Settle(ctx, decision.Handle, limiter.Tokens{Input: 874, Output: 203})
//
// Limits are arguments of each call, not state, so that a changed limit acts on the
// windows as they stand. Package limits has the rows, and says when a change binds.
//
// # What to know
//
// Tokens above a reservation are charged when the call settles, without regard to
// limits. Such debt keeps further calls out until it has left the window. WithStrict
// bounds what is produced in any minute too, at the price of throughput.
//
// A reservation that nobody settles lapses a minute after its Timeout: it is no longer
// in flight, and its tokens stay charged. One without a Timeout never lapses.
//
// A wait covers every rule that fails. It is exact unless Hint is set, which it is as
// soon as one of these rules waits for calls in flight: they end when they end.
//
// Counters are in memory. Export writes them at a stop and Import reads them at the
// next start; Restore counts again what a crash has lost, from a record of past calls.
//
// The package knows no HTTP and no money, and starts no goroutine.
package limiter
