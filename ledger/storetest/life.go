package storetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func pruned(s *subject) error {
	store, err := s.with(log(1, 10), log(11, 30), log(31, 60)) // entry 25 is the last of its day
	if err != nil {
		return err
	}
	before, err := store.Head(s.ctx)
	if err != nil {
		return err
	}
	for _, through := range []int64{1, 25, 25} { // twice: a prune that was interrupted is run again
		if err := store.SaveSnapshot(s.ctx, snapshotOf(through, 100, true)); err != nil {
			return err
		}
		if err := store.Prune(s.ctx, through); err != nil {
			return fmt.Errorf("prune: %w", err)
		}
		if err := errors.Join(store.holds(through, log(through+1, 60)), store.holds(0, log(through+1, 60))); err != nil {
			return fmt.Errorf("pruned through entry %d: %w", through, err)
		}
	}
	if after, err := store.Head(s.ctx); err != nil || after != before {
		return wrong(err, "pruning changed the head from %v to %v", before, after)
	}
	if err := store.Append(s.ctx, log(61, 65)); err != nil {
		return fmt.Errorf("append after pruning: %w", err)
	}
	return store.twice(func(o *opened) error {
		last, err := o.Since(s.ctx, start.Add(29*time.Hour+1*time.Millisecond))
		if err == nil && last != 30 {
			err = fmt.Errorf("since, after pruning: entry %d, want 30", last)
		}
		return errors.Join(err, o.holds(25, log(26, 65)), o.holds(0, log(26, 65)), o.lists(25), o.reads(25, 100, true), o.Check(s.ctx))
	})
}

// changes are logs that differ from each other in one thing.
func changes() map[string]func(entries []ledger.Entry) []ledger.Entry {
	all := map[string]func([]ledger.Entry) []ledger.Entry{
		"nothing":     func(entries []ledger.Entry) []ledger.Entry { return entries },
		"end":         func(entries []ledger.Entry) []ledger.Entry { return entries[:2] },
		"one more":    func(entries []ledger.Entry) []ledger.Entry { return append(entries, log(4, 4)...) },
		"other order": func(entries []ledger.Entry) []ledger.Entry { swap(&entries[1], &entries[2]); return entries },
	}
	for name, change := range fieldChanges() {
		all[name] = func(entries []ledger.Entry) []ledger.Entry { change(&entries[1]); return entries }
		all[name+", first commit"] = func(entries []ledger.Entry) []ledger.Entry { change(&entries[0]); return entries }
	}
	return all
}

// swap exchanges all but numbers and moments.
func swap(a, b *ledger.Entry) {
	*a, *b = *b, *a
	a.Sequence, b.Sequence = b.Sequence, a.Sequence
	a.At, b.At = b.At, a.At
}

// fieldChanges change one field each of an entry of a call.
func fieldChanges() map[string]func(e *ledger.Entry) {
	return map[string]func(e *ledger.Entry){
		"At":            func(e *ledger.Entry) { e.At = e.At.Add(time.Microsecond) },
		"Kind":          func(e *ledger.Entry) { e.Kind = ledger.KindVoid },
		"Account":       func(e *ledger.Entry) { e.Account += "x" },
		"KeyID":         func(e *ledger.Entry) { e.KeyID += "x" },
		"Model":         func(e *ledger.Entry) { e.Model += "x" },
		"RequestID":     func(e *ledger.Entry) { e.RequestID += "x" },
		"Reference":     func(e *ledger.Entry) { e.Reference += "x" },
		"Hold":          func(e *ledger.Entry) { e.Hold++ },
		"InputTokens":   func(e *ledger.Entry) { e.Quantity.InputTokens++ },
		"CachedTokens":  func(e *ledger.Entry) { e.Quantity.CachedTokens++ },
		"OutputTokens":  func(e *ledger.Entry) { e.Quantity.OutputTokens++ },
		"Duration":      func(e *ledger.Entry) { e.Quantity.Duration += time.Microsecond },
		"Amount":        func(e *ledger.Entry) { e.Amount++ },
		"Balance":       func(e *ledger.Entry) { e.Balance++ },
		"PriceVersion":  func(e *ledger.Entry) { e.PriceVersion++ },
		"Usage":         func(e *ledger.Entry) { e.Usage = ledger.UsageCounted },
		"Outcome":       func(e *ledger.Entry) { e.Outcome = ledger.OutcomeDeadline },
		"Detail":        func(e *ledger.Entry) { e.Detail = []byte(`{"reason":"Test"}`) },
		"text moves on": func(e *ledger.Entry) { e.KeyID, e.Model = e.KeyID+e.Model[:1], e.Model[1:] },
	}
}

func heads(s *subject) error {
	seen := map[ledger.Head]string{}
	headOf := func(entries []ledger.Entry) (ledger.Head, error) {
		store, err := s.with(entries[:1], entries[1:])
		if err != nil {
			return ledger.Head{}, err
		}
		head, err := store.Head(s.ctx)
		if err == nil && (head.Sequence != int64(len(entries)) || head.Hash == [32]byte{}) {
			err = fmt.Errorf("the head of %d entries is %v", len(entries), head)
		}
		return head, errors.Join(err, store.Close())
	}
	for name, change := range changes() {
		head, err := headOf(change(log(1, 3)))
		if err != nil {
			return fmt.Errorf("changed: %s: %w", name, err)
		}
		if other, known := seen[head]; known {
			return fmt.Errorf("logs that differ have the same head: changed in one: %s; in the other: %s", name, other)
		}
		seen[head] = name
	}
	if head, err := headOf(log(1, 3)); err != nil || seen[head] != "nothing" {
		return wrong(err, "the same entries in the same commits have another head in another store: %v", head)
	}
	store, err := s.fresh()
	if err != nil {
		return err
	}
	return store.twice(func(o *opened) error {
		if head, err := o.Head(s.ctx); err != nil || head != (ledger.Head{}) {
			return wrong(err, "the head of an empty log is %v", head)
		}
		return nil
	})
}

// reopened closes the store after each commit: nothing may change by that.
func reopened(s *subject) error {
	store, err := s.fresh()
	if err != nil {
		return err
	}
	whole, err := s.with(log(1, 5), log(6, 10), log(11, 15), log(16, 20))
	if err != nil {
		return err
	}
	for first := int64(1); first < 20; first += 5 {
		if err := store.Append(s.ctx, log(first, first+4)); err != nil {
			return fmt.Errorf("append: %w", err)
		}
		if err := store.SaveSnapshot(s.ctx, snapshotOf(first+4, 2000, false)); err != nil {
			return err
		}
		before, err := store.Head(s.ctx)
		if err != nil {
			return err
		}
		if store, err = store.reopen(); err != nil {
			return err
		}
		if head, err := store.Head(s.ctx); err != nil || head != before {
			return wrong(err, "reopening changed the head from %v to %v", before, head)
		}
		if err := errors.Join(store.holds(0, log(1, first+4)), store.reads(first+4, 2000, false)); err != nil {
			return fmt.Errorf("after reopening: %w", err)
		}
	}
	want, err := whole.Head(s.ctx)
	if head, failed := store.Head(s.ctx); err != nil || failed != nil || head != want {
		return wrong(errors.Join(err, failed), "a log that was written with pauses has head %v, one without %v", head, want)
	}
	return errors.Join(store.lists(20, 15), store.Check(s.ctx))
}

func locked(s *subject) error {
	store, err := s.with(log(1, 3))
	if err != nil {
		return err
	}
	for range 2 { // a refusal frees nothing
		if second, err := s.open(store.directory); !errors.Is(err, ledger.ErrLocked) {
			if err == nil {
				return errors.Join(errors.New("a second store was opened beside the first"), second.Close())
			}
			return fmt.Errorf("opening a second time does not give ErrLocked: %w", err)
		}
	}
	if err := store.Append(s.ctx, log(4, 6)); err != nil {
		return fmt.Errorf("append after another was refused: %w", err)
	}
	return store.twice(func(o *opened) error { return o.holds(0, log(1, 6)) })
}

func closed(s *subject) error {
	store, err := s.with(log(1, 3))
	if err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if err := store.Append(s.ctx, log(4, 6)); err == nil {
		return errors.New("a closed store appends")
	}
	if err := store.SaveSnapshot(s.ctx, snapshotOf(3, 10, false)); err == nil {
		return errors.New("a closed store saves a snapshot")
	}
	again, err := s.open(store.directory)
	if err != nil {
		return err
	}
	return errors.Join(again.holds(0, log(1, 3)), again.lists())
}

// place moves the directory away while the store is open. A store that does not live in
// it stays in place; one that does must say that what it writes is lost.
func place(s *subject) error {
	store, err := s.with(log(1, 3))
	if err != nil {
		return err
	}
	if room, err := store.Room(); err != nil || room <= 0 {
		return wrong(err, "room for %d bytes", room)
	}
	if err := store.InPlace(); err != nil {
		return fmt.Errorf("a store in its place: %w", err)
	}
	if moved := os.Rename(store.directory, filepath.Join(s.t.TempDir(), "away")) == nil; !moved {
		return nil // the system does not let go of files in use, so they cannot be lost
	}
	switch err := store.InPlace(); {
	case errors.Is(err, ledger.ErrReplaced):
		return nil
	case err != nil:
		return fmt.Errorf("a store whose directory was moved away does not give ErrReplaced: %w", err)
	}
	appended := store.Append(s.ctx, log(4, 4))
	if err := errors.Join(appended, store.Close(), os.MkdirAll(store.directory, 0o700)); err != nil {
		return fmt.Errorf("a store that says to be in its place: %w", err)
	}
	next, err := s.open(store.directory)
	if err == nil {
		err = next.holds(0, log(1, 4))
	}
	if err != nil {
		return fmt.Errorf("a store said to be in its place, and the next does not find what it wrote: %w", err)
	}
	return nil
}
