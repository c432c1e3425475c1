package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Quantity is what a call consumes, and what prices apply to. The zero value costs only
// the price per request.
type Quantity struct {
	InputTokens  int64 // prompt tokens, cached ones included
	CachedTokens int64 // the part of InputTokens that the upstream had cached
	OutputTokens int64
	Duration     time.Duration // compute time
}

// UsageSource says where the tokens of a settlement come from.
type UsageSource uint8

const (
	// UsageReported means that the upstream reported it.
	UsageReported UsageSource = iota
	// UsageCounted means that the gate counted it in the stream.
	UsageCounted
	// UsageEstimated means that it is the estimate made at admission.
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
	// OutcomeUpstreamFailed is an upstream that could not be reached, answered 5xx or
	// broke off its answer.
	OutcomeUpstreamFailed
	// OutcomeClientGone is a client that left before the end.
	OutcomeClientGone
	// OutcomeDeadline is a call that exceeded its time limit.
	OutcomeDeadline
	// OutcomeCreditExhausted is a call that was cut off because credit did not cover a
	// larger hold.
	OutcomeCreditExhausted
	// OutcomeInterrupted is a call that was running when the gateway crashed.
	OutcomeInterrupted
	// OutcomeRevoked is a stream that was cut off because its key was revoked.
	OutcomeRevoked
)

var outcomeNames = [...]string{
	"ok", "upstream_refused", "upstream_failed", "client_gone",
	"deadline", "credit_exhausted", "interrupted", "revoked",
}

// String returns the outcome's name on the wire, for example client_gone.
func (o Outcome) String() string { return outcomeNames[min(int(o), len(outcomeNames)-1)] }

// HoldID identifies a hold. The upper 24 bits are the epoch, which counts the starts of
// the process, the lower 40 bits a counter. No id is used twice, so that no hold can be
// resolved twice. Its text form is "epoch|counter".
type HoldID uint64

// HoldRequest asks for a hold for one call.
type HoldRequest struct {
	KeyID     string
	Model     string
	Worst     Quantity  // what the hold covers, until Extend raises it
	Deadline  time.Time // when the gateway ends the call; zero: never. Best made from time.Now: its monotonic reading survives a clock that is set
	Stream    bool      // after a crash, streams are charged by the crash policy and other calls not at all
	RequestID string    // is recorded in the entry, at most 256 bytes
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

// Charge is the result of a settlement.
type Charge struct {
	Amount   Micro
	WriteOff Micro // part of the price that hold, balance and budget did not cover
	Balance  Micro // available on the account afterwards
	Sequence int64 // of the entry that holds the charge
}

// ErrUnknownKey is the error for all keys that cannot be used: unknown, malformed,
// expired or revoked ones. It does not say which, so that callers learn nothing.
var ErrUnknownKey = errors.New("unknown key")

// ErrUnavailable means that the ledger admits nothing now, because a write failed, the
// disk is nearly full or slow, or the ledger is closing.
var ErrUnavailable = errors.New("ledger unavailable")

// ErrResolved means that a hold was settled or voided already.
var ErrResolved = errors.New("hold already resolved")

// CreditError says that the account's balance or the key's budget does not cover a hold.
type CreditError struct {
	// Budget is set if the key's budget is too small, and not the account's balance.
	Budget bool
	// Never is set if the hold exceeds the balance (or what is left of the budget)
	// even with nothing held: waiting does not help, only a top-up does. Otherwise the
	// call may be covered once calls that run now are settled.
	Never     bool
	Needed    Micro
	Available Micro
	Held      Micro // by other calls
	// Limit is the budget, or the account's balance with what is held.
	Limit Micro
	Spent Micro // of the budget; a balance knows only what is left
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

// Bounds in bytes of texts that callers choose, because these are kept forever.
const (
	maxModelName = 256
	maxRequestID = 256
)

// Hold sets credit aside for a call. It does not wait for the disk. Errors:
//   - *CreditError: the credit does not cover the call.
//   - ErrUnknownKey: the key was revoked or has expired since it was authenticated.
//   - ErrUnavailable: nothing is admitted now.
//   - ErrInvalid: a value of the request is not accepted, or the model's name would be
//     one too many for the ledger.
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
	if err != nil {
		return hold, err
	}
	if request.Stream && l.crash == CrashFull {
		err = l.appendCheckpoint(hold.ID, Quantity{}, now)
	}
	l.recordSoon()
	return hold, err
}

// Quote returns what Hold would set aside now, or the error that it would return, and
// changes nothing. The request needs neither a deadline nor an id.
func (l *Ledger) Quote(request HoldRequest) (Micro, error) {
	if err := request.validate(); err != nil {
		return 0, err
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.admitting(now); err != nil {
		return 0, err
	}
	return l.core.quote(request, now)
}

// validate returns an *InvalidError if a value is out of bounds.
func (r *HoldRequest) validate() error {
	if len(r.Model) > maxModelName {
		return &InvalidError{Field: "model", Reason: "name is longer than 256 bytes"}
	}
	if len(r.RequestID) > maxRequestID {
		return &InvalidError{Field: "request_id", Reason: "is longer than 256 bytes"}
	}
	return r.Worst.validate()
}

// Extend raises a hold so that it covers worst, the call's whole consumption from its
// start. A hold never shrinks. Errors are *CreditError, ErrUnavailable, ErrInvalid,
// ErrResolved and ErrUnknownHold; after one the hold is as it was.
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

// Checkpoint reports what a running stream has consumed so far. After a crash the
// stream is charged by its last recorded checkpoint. Checkpoint never waits and may be
// called with every chunk: it records one every 5 seconds and one for every 10 % of the
// hold. Errors are ErrInvalid, ErrResolved, ErrUnknownHold and ErrUnavailable.
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
		return nil // it is not charged after a crash
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
		cost = 0 // nothing has run yet: not even the price per request is due
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

// Settle charges what a call consumed and returns when the charge is durable. It charges
// no more than the hold plus what the account and the key's budget still have; the rest
// is written off. Errors:
//   - ErrResolved: the hold was resolved before; nothing was charged now.
//   - ErrUnknownHold: there never was such a hold.
//   - ErrInvalid: a quantity is negative; the hold stays.
//   - ErrUnavailable: the charge may or may not be durable, so the caller must not send
//     the end of the answer.
//   - ctx.Err(): ctx ended while the disk was busy; the charge stands.
func (l *Ledger) Settle(ctx context.Context, id HoldID, settlement Settlement) (Charge, error) {
	charge, b, err := l.startSettle(id, settlement)
	if err == nil {
		err = l.wait(ctx, b)
	}
	return charge, err
}

// startSettle charges a call without waiting. The charge is durable once the batch is.
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
		if !l.handing { // else HandOver has it, or is about to
			l.core.drop(id, &h)
		}
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

// Void gives a hold back without a charge. OutcomeOK means that the call never ran,
// because something else refused it, and counts nothing; any other outcome counts a
// request and appends an entry. Void does not wait for the disk. Errors are ErrResolved,
// ErrUnknownHold and ErrUnavailable.
func (l *Ledger) Void(_ context.Context, id HoldID, outcome Outcome) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	h, err := l.core.openHold(id)
	if err != nil {
		return err
	}
	if err := l.writable(); err != nil {
		if !l.handing {
			l.core.drop(id, &h)
		}
		return err
	}
	if outcome == OutcomeOK && l.core.recorded(id) {
		return l.withdraw(id, &h)
	}
	if outcome == OutcomeOK {
		l.core.drop(id, &h)
		return nil
	}
	e := l.core.draft(KindVoid, id, &h)
	e.Outcome = outcome
	return l.append(&e)
}
