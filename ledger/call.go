package ledger

import (
	"errors"
	"fmt"
	"time"
)

// Quantity is what a call consumes, the basis of every price. The zero value
// costs nothing but the price per request.
type Quantity struct {
	InputTokens  int64 // prompt tokens, cached ones included
	CachedTokens int64 // the part of InputTokens that the upstream had cached
	OutputTokens int64
	Duration     time.Duration // compute time
}

// UsageSource says where the tokens of a settlement come from.
type UsageSource uint8

const (
	// UsageReported is the upstream's own figure.
	UsageReported UsageSource = iota
	// UsageCounted was counted from the passing stream.
	UsageCounted
	// UsageEstimated is the estimate made at admission.
	UsageEstimated
)

// String returns reported, counted or estimated.
func (s UsageSource) String() string {
	return [...]string{"reported", "counted", "estimated"}[min(s, UsageEstimated)]
}

// Outcome says how a call ended.
type Outcome uint8

const (
	// OutcomeOK is a complete answer.
	OutcomeOK Outcome = iota
	// OutcomeUpstreamRefused is an upstream's 4xx.
	OutcomeUpstreamRefused
	// OutcomeUpstreamFailed is an upstream that was not reached, answered 5xx or
	// died in mid-stream.
	OutcomeUpstreamFailed
	// OutcomeClientGone is a client that left before the end.
	OutcomeClientGone
	// OutcomeDeadline is a call that ran into its time limit.
	OutcomeDeadline
	// OutcomeCreditExhausted is a stream that was cut because its hold could not grow.
	OutcomeCreditExhausted
	// OutcomeInterrupted is a call that was running when the gateway crashed.
	OutcomeInterrupted
	// OutcomeRevoked is a stream that was cut because its key was revoked.
	OutcomeRevoked
)

var outcomeNames = [...]string{
	"ok", "upstream_refused", "upstream_failed", "client_gone",
	"deadline", "credit_exhausted", "interrupted", "revoked",
}

// String returns the outcome's name on the wire, for example client_gone.
func (o Outcome) String() string { return outcomeNames[min(int(o), len(outcomeNames)-1)] }

// HoldID names a hold: the epoch of the process in the upper 24 bits, a counter
// in the lower 40. It never repeats, so that no hold is resolved twice. Its text
// form is "epoch|counter".
type HoldID uint64

// HoldRequest asks for a hold that covers the worst case of one call.
type HoldRequest struct {
	KeyID     string
	Model     string
	Worst     Quantity  // upper bound of what the call may consume
	Deadline  time.Time // when the gateway cuts the call; best from time.Now, whose times no set clock moves
	Stream    bool      // decides what a crash does to the call
	RequestID string    // goes into the entry
}

// Hold is credit set aside for a running call, on the owner's account and on
// the key's budget.
type Hold struct {
	ID     HoldID
	Amount Micro
}

// Settlement says what a call consumed and how it ended.
type Settlement struct {
	Quantity Quantity
	Usage    UsageSource
	Outcome  Outcome
}

// Charge is what a settlement took.
type Charge struct {
	Amount   Micro
	WriteOff Micro // part of the price that neither hold nor balance nor budget covered
	Balance  Micro // available on the account afterwards
	Sequence int64 // of the entry that holds the charge
}

// ErrUnknownKey is the one answer for keys that are unknown, malformed, expired
// or revoked.
var ErrUnknownKey = errors.New("unknown key")

// ErrUnavailable means that the ledger admits nothing now: a write failed, the
// disk is full, or it is closing.
var ErrUnavailable = errors.New("ledger unavailable")

// ErrResolved means that a hold was settled or voided before.
var ErrResolved = errors.New("hold already resolved")

// CreditError says that credit does not cover a hold.
type CreditError struct {
	// Budget is set if the key's budget bound, and not the account's balance.
	Budget bool
	// Never is set if the hold exceeds the balance (or what is left of the budget)
	// with nothing held: waiting does not help, only a top-up does. Otherwise other
	// calls' holds bind and the call may fit once they settle.
	Never     bool
	Needed    Micro
	Available Micro
	Held      Micro // by other calls
}

// Error implements error.
func (e *CreditError) Error() string {
	scope := "account balance"
	if e.Budget {
		scope = "key budget"
	}
	return fmt.Sprintf("%s does not cover the call: it needs %d micro-credits, %d are available and %d held",
		scope, e.Needed, e.Available, e.Held)
}
