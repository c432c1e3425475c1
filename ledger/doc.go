// Package ledger knows callers by key, holds and charges their credit, and keeps a
// log of it that cannot lose or invent money. It knows no HTTP.
//
// A call takes a hold that covers its worst case, and later settles it to what it
// really cost, exactly once. The charge is durable when Settle returns:
//
//	store, err := sqlitestore.Open(ctx, "./penstock-data")
//	l, err := ledger.Open(ctx, store)
//	defer l.Close(ctx)
//
//	key, secret, err := l.CreateKey(ctx, ledger.NewKey{Name: "first", Owner: "acme"})
//	_, err = l.TopUp(ctx, "acme", 10*ledger.Credit, "invoice 4711")
//
//	key, err = l.Authenticate(text)
//	hold, err := l.Hold(ctx, ledger.HoldRequest{KeyID: key.ID, Model: "tiny", Worst: worst, Deadline: deadline})
//	charge, err := l.Settle(ctx, hold.ID, ledger.Settlement{Quantity: used})
//
// # What to know first
//
// ONE PROCESS has a store open at a time; a second one gets ErrLocked. Readers of the
// file may come and go.
//
// IT STOPS AT THE FIRST FAILED WRITE. Nothing is admitted and nothing is written any
// more, because a sync that failed and is tried again can report success for pages that
// the kernel has dropped. Reading goes on; Close returns the error. A new process may
// open the file.
//
// A key's text is returned once, by CreateKey and RotateKey, in a Secret that prints as
// [secret]. What is stored is its SHA-256: a lost text cannot be found again.
//
// Amounts are micro-credits in int64: 1,000,000 are one credit, one minute of compute.
// A price is rounded up once for each call. There are no floats.
//
// Holds are in memory. A call that ran when the process died is resolved at the next
// start: streams by WithCrashPolicy, others without a charge. A hold that nobody
// resolves is given back 30 seconds after its deadline.
//
// A price above the hold is charged as far as hold, balance and budget reach. The rest
// is a write-off, an entry of its own.
//
// # Where things are
//
// key*.go are keys as callers see them, account.go accounts, hold.go a call's life,
// price.go prices, usage.go what was consumed. state*.go are the state, which only its
// method apply changes: it has no clock, no randomness and no IO. Its log is a table of
// entries (entry.go) that committer.go makes durable in a Store (store.go). snapshot*.go
// spare a start most of the log, retention.go removes days that are over, verify.go
// recomputes everything from the log.
package ledger
