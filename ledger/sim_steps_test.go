package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// step does one random thing and compares the answer with what the oracle expects.
func (w *world) step() error {
	switch n := w.random.IntN(100); {
	case n < 28:
		return w.hold()
	case n < 56:
		return w.settle()
	case n < 60:
		return w.settleAgain()
	case n < 65:
		return w.void()
	case n < 72:
		return w.topUp()
	case n < 77:
		return w.extend()
	case n < 83:
		return w.checkpoint()
	case n < 92:
		w.ledger.commitOne()
		return nil
	case n < 94:
		_ = w.ledger.snapshot(context.Background())
		return nil
	case n < 95:
		for w.ledger.commitOne() {
		}
		if err := w.learn(); err != nil { // before it is gone
			return err
		}
		_, _ = w.ledger.Prune(context.Background(), w.clock)
		return nil
	case n < 96:
		return w.expire()
	case n < 98:
		return w.change()
	default:
		// A clock that jumps, backwards too.
		w.clock = w.clock.Add(time.Duration(w.random.IntN(40)-8) * time.Hour)
		return nil
	}
}

// stopped says whether an error means that the ledger has stopped, and is right to.
func (w *world) stopped(err error) (bool, error) {
	if !errors.Is(err, ErrUnavailable) {
		if w.ledger.failed != nil && err == nil {
			return false, errors.New("a ledger that failed to write goes on")
		}
		return false, nil
	}
	if w.ledger.failed == nil {
		return false, fmt.Errorf("unavailable for no reason: %w", err)
	}
	return true, nil
}

func (w *world) quantity() Quantity {
	return Quantity{
		InputTokens: w.random.Int64N(40), OutputTokens: w.random.Int64N(30),
		Duration: time.Duration(w.random.Int64N(9000)) * time.Microsecond,
	}
}

func (w *world) hold() error {
	id := w.keyIDs[w.random.IntN(len(w.keyIDs))]
	model := modelNames[w.random.IntN(len(modelNames))]
	request := HoldRequest{
		KeyID: id, Model: model, Worst: w.quantity(), Deadline: w.clock.Add(time.Minute), Stream: w.random.IntN(2) == 0,
	}
	price := w.live.price(model)
	want := oracleCost(price, request.Worst)
	hold, err := w.ledger.Hold(context.Background(), request)
	if stop, wrong := w.stopped(err); stop || wrong != nil {
		return wrong
	}
	k := w.live.keys[id]
	a := w.live.accounts[k.owner]
	fits := want <= a.deposited-a.spent-a.held && (!k.hasBudget || want <= k.budget-k.spent-k.held || want == 0)
	switch {
	case k.revoked || k.paused || a.frozen:
		want := ErrFrozen
		if k.revoked {
			want = ErrUnknownKey
		} else if k.paused {
			want = ErrPaused
		}
		if !errors.Is(err, want) {
			return fmt.Errorf("hold with key %+v of account %+v: %w", k, a, err)
		}
		return nil
	case fits != (err == nil):
		return fmt.Errorf("hold of %d on %+v, %+v: %w", want, a, k, err)
	case !fits:
		var credit *CreditError
		if !errors.As(err, &credit) {
			return fmt.Errorf("hold of %d refused: %w", want, err)
		}
		return nil
	case hold.Amount != want:
		return fmt.Errorf("hold is %d, want %d", hold.Amount, want)
	}
	w.reserve(id, want)
	w.calls = append(w.calls, simCall{id: hold.ID, key: id, price: price, amount: want, stream: request.Stream})
	return nil
}

// reserve notes that a key holds more, or less.
func (w *world) reserve(key string, amount Micro) {
	k := w.live.keys[key]
	a := w.live.accounts[k.owner]
	k.held, a.held = k.held+amount, a.held+amount
	w.live.keys[key], w.live.accounts[k.owner] = k, a
}

// take removes a random running call.
func (w *world) take() (simCall, bool) {
	if len(w.calls) == 0 {
		return simCall{}, false
	}
	i := w.random.IntN(len(w.calls))
	call := w.calls[i]
	w.calls = append(w.calls[:i], w.calls[i+1:]...)
	w.ended = append(w.ended, call.id)
	return call, true
}

func (w *world) settle() error {
	call, ok := w.take()
	if !ok {
		return nil
	}
	actual := w.quantity()
	charge, b, err := w.ledger.startSettle(call.id, Settlement{Quantity: actual})
	w.reserve(call.key, -call.amount)
	if stop, wrong := w.stopped(err); stop || wrong != nil {
		return wrong
	}
	if err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	k := w.live.keys[call.key]
	a := w.live.accounts[k.owner]
	cost := oracleCost(call.price, actual)
	extra := a.deposited - a.spent - a.held - call.amount
	if k.hasBudget {
		extra = min(extra, max(k.budget-k.spent-k.held-call.amount, 0))
	}
	want := min(cost, call.amount+extra)
	if charge.Amount != want || charge.WriteOff != cost-want {
		return fmt.Errorf("charge %+v, want %d of %d", charge, want, cost)
	}
	a.spent, k.spent = a.spent+want, k.spent+want
	w.live.accounts[k.owner], w.live.keys[call.key] = a, k
	w.waiting = append(w.waiting, promise{batch: b, entry: Entry{Sequence: charge.Sequence, Kind: KindSettle, Amount: want}})
	return nil
}

func (w *world) settleAgain() error {
	if len(w.ended) == 0 {
		return nil
	}
	id := w.ended[w.random.IntN(len(w.ended))]
	if _, _, err := w.ledger.startSettle(id, Settlement{Quantity: w.quantity()}); !errors.Is(err, ErrResolved) {
		return fmt.Errorf("second settle of hold %s: %w", id, err)
	}
	if err := w.ledger.Void(context.Background(), id, OutcomeClientGone); !errors.Is(err, ErrResolved) {
		return fmt.Errorf("void of settled hold %s: %w", id, err)
	}
	return nil
}

func (w *world) void() error {
	call, ok := w.take()
	if !ok {
		return nil
	}
	outcome := []Outcome{OutcomeOK, OutcomeUpstreamFailed}[w.random.IntN(2)]
	err := w.ledger.Void(context.Background(), call.id, outcome)
	w.reserve(call.key, -call.amount)
	if outcome == OutcomeOK && err == nil {
		w.refused = append(w.refused, call.id)
	}
	if stop, wrong := w.stopped(err); stop || wrong != nil {
		return wrong
	}
	return err
}

func (w *world) topUp() error {
	amount, account := Micro(1+w.random.IntN(400)), []string{"one", "two"}[w.random.IntN(2)]
	// Adjustments have the keys of top-ups too: they must not be taken for each other.
	kind, sign := KindTopUp, Micro(1)
	if w.random.IntN(3) == 0 {
		kind, sign = KindAdjust, Micro(1-2*w.random.IntN(2))
	}
	amount *= sign
	reference := fmt.Sprintf("top-up %d", w.topUps)
	if w.topUps++; w.random.IntN(3) == 0 {
		reference = fmt.Sprintf("top-up %d", w.random.IntN(w.topUps)) // once more, maybe as another request
	}
	name := kind.String() + reference
	before, used := w.live.topUps[name]
	var result TopUp
	var err error
	if kind == KindTopUp {
		result, err = w.ledger.TopUp(context.Background(), account, amount, reference)
	} else {
		result, err = w.ledger.Adjust(context.Background(), account, Adjustment{amount, "simulated", reference})
	}
	if stop, wrong := w.stopped(err); stop || wrong != nil {
		return wrong
	}
	same := before == oracleTopUp{account, amount}
	switch {
	case used && !same:
		if !errors.Is(err, ErrIdempotencyReused) {
			return fmt.Errorf("top-up %q with another body: %w", reference, err)
		}
		return nil
	case !used && w.live.accounts[account].deposited-w.live.accounts[account].spent-w.live.accounts[account].held+amount < 0:
		if !errors.Is(err, ErrInvalid) {
			return fmt.Errorf("%s of more than there is: %w", kind, err)
		}
		return nil
	case err != nil || result.Replayed != used:
		return fmt.Errorf("%s %q: %+v: %w", kind, reference, result, err)
	}
	if !used {
		a := w.live.accounts[account]
		a.deposited += amount
		w.live.accounts[account] = a
		w.live.topUps[name] = oracleTopUp{account, amount}
	}
	if !w.store.crashed {
		w.promised(Entry{Sequence: result.Sequence, Kind: kind, Amount: amount})
	}
	return nil
}

func (w *world) extend() error {
	if len(w.calls) == 0 {
		return nil
	}
	call := &w.calls[w.random.IntN(len(w.calls))]
	worst := w.quantity()
	want := max(oracleCost(call.price, worst), call.amount)
	k := w.live.keys[call.key]
	a := w.live.accounts[k.owner]
	more := want - call.amount
	fits := more == 0 || (more <= a.deposited-a.spent-a.held && (!k.hasBudget || more <= k.budget-k.spent-k.held))
	hold, err := w.ledger.Extend(context.Background(), call.id, worst)
	if stop, wrong := w.stopped(err); stop || wrong != nil {
		return wrong
	}
	if fits != (err == nil) || (fits && hold.Amount != want) {
		return fmt.Errorf("extend from %d to %d on %+v: %+v, %w", call.amount, want, a, hold, err)
	}
	if fits {
		w.reserve(call.key, more)
		call.amount = want
	}
	return nil
}

func (w *world) checkpoint() error {
	if len(w.calls) == 0 {
		return nil
	}
	w.clock = w.clock.Add(time.Duration(w.random.IntN(4)) * time.Second)
	call := w.calls[w.random.IntN(len(w.calls))]
	err := w.ledger.Checkpoint(call.id, w.quantity())
	if stop, wrong := w.stopped(err); stop || wrong != nil {
		return wrong
	}
	return err
}

// expire lets the janitor find calls that nobody ended.
func (w *world) expire() error {
	w.clock = w.clock.Add(3 * time.Minute)
	if w.ledger.failed != nil {
		return nil
	}
	before := w.ledger.core.sequence
	w.ledger.expire()
	// The clock may have run backwards since a call began: ask which are gone.
	rest := w.calls[:0]
	for _, call := range w.calls {
		if _, open := w.ledger.core.holds[call.id]; open {
			rest = append(rest, call)
			continue
		}
		w.ended = append(w.ended, call.id)
		w.reserve(call.key, -call.amount)
	}
	w.calls = rest
	for _, e := range w.ledger.batch.entries {
		if e.Sequence > before && e.Kind == KindSettle {
			k := w.live.keys[e.KeyID]
			a := w.live.accounts[k.owner]
			a.spent, k.spent = a.spent+e.Amount, k.spent+e.Amount
			w.live.accounts[k.owner], w.live.keys[e.KeyID] = a, k
		}
	}
	return nil
}

// change gives a key another budget, pauses, resumes or revokes it, or freezes its
// account.
func (w *world) change() error {
	id := w.keyIDs[w.random.IntN(len(w.keyIDs))]
	k := w.live.keys[id]
	var err error
	switch w.random.IntN(8) {
	case 0:
		if _, err = w.ledger.RevokeKey(context.Background(), id); err == nil {
			k.revoked = true
		}
	case 1, 2:
		paused := !k.paused
		if _, err = w.ledger.UpdateKey(context.Background(), id, 0, KeyPatch{Paused: &paused}); err == nil {
			k.paused = paused
		}
	case 3, 4:
		a := w.live.accounts[k.owner]
		frozen := !a.frozen
		if _, err = w.ledger.UpdateAccount(context.Background(), k.owner, AccountPatch{Frozen: &frozen}); err == nil {
			a.frozen = frozen
			w.live.accounts[k.owner] = a
		}
	default:
		budget := Micro(w.random.IntN(900))
		if _, err = w.ledger.UpdateKey(context.Background(), id, 0, KeyPatch{Budget: &Budget{Amount: budget}}); err == nil {
			k.hasBudget, k.budget = true, budget
		}
	}
	if stop, wrong := w.stopped(err); stop || wrong != nil || errors.Is(err, ErrRevoked) {
		return wrong
	}
	w.live.keys[id] = k
	return err
}
