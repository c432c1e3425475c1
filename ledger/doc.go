// Package ledger keeps API keys, the accounts that pay for them, and an append-only log
// of every charge, from which all balances can be computed again. It knows no HTTP.
//
// A call first takes a hold: credit set aside for the most that it can cost. When it has
// ended, the hold is settled, once, for what it really cost. The charge is on the disk
// when Settle returns:
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
// # Caveats
//
// ONE PROCESS has a store open at a time; a second one gets ErrLocked. Other processes
// may read the file.
//
// IT STOPS AT THE FIRST FAILED WRITE. From then on every method that writes returns
// ErrUnavailable, because a sync that is tried again after a failure can report success
// for pages that the kernel has dropped. Methods that read still work, and Close returns
// the error. A new process can open the file.
//
// A key's text is returned once, by CreateKey and RotateKey, in a Secret that prints as
// [secret]. The ledger stores only its SHA-256, so a lost text cannot be recovered.
//
// Amounts are int64 micro-credits: 1,000,000 micro-credits are one credit, which is one
// minute of compute. The price of a call is rounded up once. There are no floats.
//
// Holds are in memory only. After a crash the next start resolves the calls that ran:
// streams by WithCrashPolicy, other calls without a charge. A hold that is not resolved
// is given back 30 seconds (WithGrace) after its deadline.
//
// A call that costs more than its hold is charged as far as hold, balance and budget
// reach. The rest is a write-off, which has an entry of its own.
//
// # Errors
//
// Values that are not accepted give an *InvalidError, which names the field and wraps
// ErrInvalid. Every method that writes can return ErrUnavailable, and the context's error
// if it ends while the disk is busy: what was written then stays.
//
// # Where things are
//
// key*.go are keys as callers see them, account.go accounts, hold.go the life of a call,
// money.go amounts and prices and usage.go consumption. state*.go are the state machine: only its
// method apply changes it, and it has no clock, no randomness and no IO. Its log is a
// list of entries (entry.go), which committer.go makes durable in a Store (store.go).
// snapshot*.go save a start from reading most of the log, retention.go removes old days,
// and verify.go checks the whole log.
package ledger
