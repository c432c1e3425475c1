package ledger

import (
	"context"
	"encoding/json"
	"time"
)

// Text that callers choose is bounded, because it is kept forever.
const (
	maxModelName = 256
	maxRequestID = 256
)

// Hold sets credit aside for the worst case of a call. It waits for no disk. A
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
	if err == nil && l.durability == DurabilitySettle {
		err = l.wait(ctx, b, false)
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
	events := l.thresholds.crossings(&l.core.keys.rows[h.key], a, e.Amount)
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
