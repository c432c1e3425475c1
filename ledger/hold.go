package ledger

import (
	"context"
	"encoding/json"
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
	// OutcomeCreditExhausted is a call that was cut because its hold could not grow.
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

// HoldRequest asks for a hold for one call.
type HoldRequest struct {
	KeyID     string
	Model     string
	Worst     Quantity  // what the hold covers, until Extend raises it
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

// Text that callers choose is bounded, because it is kept forever.
const (
	maxModelName = 256
	maxRequestID = 256
)

// Hold sets credit aside for a call. It waits for no disk. A
// *CreditError says what is missing; ErrUnknownKey means that the key was revoked
// or expired since it was authenticated; ErrUnavailable that nothing can be
// admitted now; an error that wraps ErrInvalid that the request makes no sense.
func (l *Ledger) Hold(_ context.Context, request HoldRequest) (Hold, error) {
	if err := request.validate(); err != nil {
		return Hold{}, err
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.admitting(now); err != nil {
		return Hold{}, err
	}
	hold, err := l.core.hold(request, now)
	if err == nil && request.Stream && l.crash == CrashFull {
		err = l.appendCheckpoint(hold.ID, Quantity{}, now)
	}
	return hold, err
}

// validate checks a request from the gate.
func (r *HoldRequest) validate() error {
	if len(r.Model) > maxModelName {
		return &InvalidError{Field: "model", Reason: "name is longer than 256 bytes"}
	}
	if len(r.RequestID) > maxRequestID {
		return &InvalidError{Field: "request_id", Reason: "is longer than 256 bytes"}
	}
	return r.Worst.validate()
}

// Extend raises a hold so that it covers worst in all, what the call consumed so
// far included. A hold never shrinks. Errors are those of Hold, ErrResolved and
// ErrUnknownHold; the hold then stays as it was.
func (l *Ledger) Extend(_ context.Context, id HoldID, worst Quantity) (Hold, error) {
	if err := worst.validate(); err != nil {
		return Hold{}, err
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return Hold{}, err
	}
	before := l.core.holds[id].amount
	hold, err := l.core.extend(id, worst)
	if last, recorded := l.core.open[id]; err == nil && hold.Amount > before && recorded && l.crash == CrashFull {
		err = l.appendCheckpoint(id, last.entry.Quantity, now)
	}
	return hold, err
}

// Checkpoint says what a running stream has consumed so far. After a crash the
// stream is charged what the last recorded checkpoint says. It never waits and may
// be called with every chunk: one checkpoint in 5 seconds, or in 10 % of the hold,
// is recorded.
func (l *Ledger) Checkpoint(id HoldID, soFar Quantity) error {
	if err := soFar.validate(); err != nil {
		return err
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	h, err := l.core.openHold(id)
	if err != nil {
		return err
	}
	if err := l.writable(); err != nil {
		return err
	}
	if !h.stream {
		return nil // nothing of it is charged after a crash
	}
	cost, _ := h.price.Cost(soFar)
	if cost = min(cost, h.amount); cost <= h.checkpointed {
		return nil
	}
	due := now.Sub(h.checkpointAt) >= l.checkpointEvery
	if !due && cost-h.checkpointed < (h.amount+9)/10 {
		return nil
	}
	return l.appendCheckpoint(id, soFar, now)
}

// appendCheckpoint records a checkpoint. The caller holds the lock.
func (l *Ledger) appendCheckpoint(id HoldID, soFar Quantity, now time.Time) error {
	h := l.core.holds[id]
	cost, _ := h.price.Cost(soFar)
	if soFar == (Quantity{}) {
		cost = 0 // nothing has run yet, not even the price per request is due
	}
	e := l.core.draft(KindCheckpoint, id, &h)
	e.Amount, e.Quantity, e.Usage = min(cost, h.amount), soFar, UsageCounted
	e.Detail, _ = json.Marshal(checkpointDetail{Held: h.amount})
	if err := l.append(&e); err != nil {
		return err
	}
	h.checkpointAt, h.checkpointed = now, e.Amount
	l.core.holds[id] = h
	return nil
}

// Settle charges what a call consumed and returns when the charge is durable. It
// never takes more than the hold, the account's available credit and the key's
// budget have; the rest is written off. ErrResolved: the hold was resolved before
// and nothing was charged now. ErrUnavailable: the charge may or may not be
// durable, the caller must not show the end of the answer. If ctx ends while the
// disk is busy, the charge stays and the error wraps ctx.Err().
func (l *Ledger) Settle(ctx context.Context, id HoldID, settlement Settlement) (Charge, error) {
	charge, b, err := l.startSettle(id, settlement)
	if err == nil {
		err = l.wait(ctx, b)
	}
	return charge, err
}

// startSettle charges a call without waiting. It returns the batch that makes the
// charge durable.
func (l *Ledger) startSettle(id HoldID, settlement Settlement) (Charge, *batch, error) {
	if err := settlement.Quantity.validate(); err != nil {
		return Charge{}, nil, err
	}
	l.mu.Lock()
	h, err := l.core.openHold(id)
	if err != nil {
		l.mu.Unlock()
		return Charge{}, nil, err
	}
	if err := l.writable(); err != nil {
		l.core.drop(id, &h)
		l.mu.Unlock()
		return Charge{}, nil, err
	}
	charge, events, err := l.settle(id, &h, settlement)
	b := l.batch
	l.expect(l.now().Add(l.patience(settlement.Quantity.Duration)))
	l.mu.Unlock()
	for _, event := range events {
		l.events(event)
	}
	return charge, b, err
}

// settle appends the entries of a charge. The caller holds the lock.
func (l *Ledger) settle(id HoldID, h *openHold, settlement Settlement) (Charge, []Event, error) {
	e, writeOff := l.core.settlement(id, h, settlement)
	if err := l.append(&e); err != nil {
		return Charge{}, nil, err
	}
	a := &l.core.accounts[h.account]
	charge := Charge{Amount: e.Amount, WriteOff: writeOff, Balance: a.available(), Sequence: e.Sequence}
	var events []Event
	if writeOff > 0 {
		loss := l.core.draft(KindWriteOff, id, h)
		loss.Amount = writeOff
		if err := l.append(&loss); err != nil {
			return Charge{}, nil, err
		}
		events = append(events, Event{Kind: EventWriteOff, Account: a.id, KeyID: e.KeyID, Amount: writeOff})
	}
	return charge, events, nil
}

// Void gives a hold back without a charge. With OutcomeOK the call never ran (it
// was refused elsewhere) and nothing is recorded; any other outcome counts a
// request and leaves an entry. It does not wait for the disk. ErrResolved: the
// hold was resolved before.
func (l *Ledger) Void(_ context.Context, id HoldID, outcome Outcome) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	h, err := l.core.openHold(id)
	if err != nil {
		return err
	}
	_, recorded := l.core.open[id] // a checkpoint must not outlive its call
	if err := l.writable(); err != nil {
		l.core.drop(id, &h)
		return err
	}
	if outcome == OutcomeOK && !recorded {
		l.core.drop(id, &h)
		return nil
	}
	e := l.core.draft(KindVoid, id, &h)
	e.Outcome = outcome
	return l.append(&e)
}
