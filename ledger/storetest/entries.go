package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// start is the moment of the first entry: close to midnight, so that days change.
var start = time.Date(2026, 3, 9, 23, 59, 59, 123_456_000, time.UTC)

// specimens returns entries of every kind, usage source and outcome, with every field
// and with the largest values.
func specimens() []ledger.Entry {
	var entries []ledger.Entry
	add := func(e ledger.Entry) {
		e.Sequence = int64(len(entries) + 1)
		e.At = start.Add(time.Duration(len(entries)/2) * 100 * time.Millisecond) // two at a time
		entries = append(entries, e)
	}
	for number := range ledger.KindNames() {
		switch kind := ledger.Kind(number + 1); kind {
		case ledger.KindEpoch:
			add(ledger.Entry{Kind: kind, Hold: 1 << 40})
		case ledger.KindSettle, ledger.KindVoid, ledger.KindCheckpoint:
			for outcome := ledger.OutcomeOK; outcome <= ledger.OutcomeRevoked; outcome++ {
				add(call(kind, outcome, ledger.UsageSource(outcome%3)))
			}
			add(ledger.Entry{Kind: kind, Account: "acme"})
		default:
			add(call(kind, ledger.OutcomeOK, ledger.UsageReported))
			add(ledger.Entry{Kind: kind, Account: "acme"})
		}
	}
	e := call(ledger.KindSettle, ledger.OutcomeOK, ledger.UsageReported)
	e.Hold, e.Amount, e.Balance, e.PriceVersion = math.MaxUint64, math.MaxInt64, math.MinInt64, math.MaxInt64
	e.Quantity.InputTokens, e.Quantity.OutputTokens = math.MaxInt64, math.MaxInt64
	e.Quantity.Duration = math.MaxInt64 / 1000 * time.Microsecond
	e.Model, e.RequestID, e.Account = "naïve \"model\" 模型 😀", "'; --\n\t\\", "%_*?\u202e"
	e.Detail = append(bytes.Repeat([]byte("x"), 1<<17), "ü"...)
	add(e)
	return entries
}

// call returns an entry with all fields but its number and moment.
func call(kind ledger.Kind, outcome ledger.Outcome, usage ledger.UsageSource) ledger.Entry {
	return ledger.Entry{
		Kind: kind, Account: "acme", KeyID: "key-1", Model: "tiny", RequestID: "request-1", Reference: "reference-1",
		Hold: 3<<40 | 17, Quantity: ledger.Quantity{InputTokens: 11, CachedTokens: 5, OutputTokens: 7, Duration: 1234 * time.Microsecond},
		Amount: -42, Balance: 4_000_000, PriceVersion: 2, Usage: usage, Outcome: outcome, Detail: []byte(`{"reason":"test"}`),
	}
}

// log returns entries from a sequence number to another, one each hour: the first day
// of the log has one, the next have 24.
func log(first, last int64) []ledger.Entry {
	var entries []ledger.Entry
	for sequence := first; sequence <= last; sequence++ {
		e := call(ledger.KindSettle, ledger.OutcomeOK, ledger.UsageReported)
		e.Sequence, e.At = sequence, start.Add(time.Duration(sequence-1)*time.Hour)
		e.KeyID = []string{"key-0", "key-1", "key-2"}[sequence%3]
		e.Balance = ledger.Micro(1000 - sequence)
		entries = append(entries, e)
	}
	return entries
}

// same compares entries that were read with those that were written. No detail is as
// good as an empty one.
func same(got, want []ledger.Entry) error {
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if _, offset := g.At.Zone(); offset != 0 || !g.At.Equal(w.At) {
			return fmt.Errorf("entry %d at place %d is of %v, want entry %d of %v", g.Sequence, i, g.At, w.Sequence, w.At)
		}
		if !bytes.Equal(g.Detail, w.Detail) {
			return fmt.Errorf("entry %d at place %d has another detail than entry %d", g.Sequence, i, w.Sequence)
		}
		g.At, g.Detail, w.At, w.Detail = time.Time{}, nil, time.Time{}, nil
		if !reflect.DeepEqual(g, w) {
			return fmt.Errorf("entry at place %d is\n%+v, want\n%+v", i, g, w)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d entries, want %d", len(got), len(want))
	}
	return nil
}

// replay returns what a replay gives.
func (o *opened) replay(after int64) (entries []ledger.Entry, err error) {
	err = o.Replay(o.subject.ctx, after, func(e *ledger.Entry) error {
		kept := *e
		kept.Detail = bytes.Clone(e.Detail)
		entries = append(entries, kept)
		return nil
	})
	return entries, err
}

// holds says whether the store has these entries after a sequence number, and no others.
func (o *opened) holds(after int64, want []ledger.Entry) error {
	got, err := o.replay(after)
	if err == nil {
		err = same(got, want)
	}
	if err != nil {
		return fmt.Errorf("replay after %d: %w", after, err)
	}
	got, err = o.Entries(o.subject.ctx, after, len(want)+10)
	if err == nil {
		err = same(got, want)
	}
	if err != nil {
		return fmt.Errorf("entries after %d: %w", after, err)
	}
	return nil
}

func readBack(s *subject) error {
	want := specimens()
	store, err := s.with(want[:1], want[1:3], want[3:])
	if err != nil {
		return err
	}
	return store.twice(func(o *opened) error { return o.holds(0, want) })
}

func pages(s *subject) error {
	want := log(1, 100)
	store, err := s.with(want[:30], want[30:31], want[31:])
	if err != nil {
		return err
	}
	for _, page := range []struct{ after, limit, first, last int64 }{
		{0, 1, 1, 1},
		{0, 100, 1, 100},
		{0, 101, 1, 100},
		{0, 7, 1, 7},
		{29, 2, 30, 31},
		{30, 3, 31, 33},
		{99, 5, 100, 100},
		{100, 5, 101, 100},
		{1000, 5, 101, 100},
	} {
		got, err := store.Entries(s.ctx, page.after, int(page.limit))
		if err == nil {
			err = same(got, want[page.first-1:page.last])
		}
		if err != nil {
			return fmt.Errorf("%d entries after %d: %w", page.limit, page.after, err)
		}
	}
	for _, after := range []int64{0, 1, 29, 30, 31, 99, 100} {
		if err := store.holds(after, want[after:]); err != nil {
			return err
		}
	}
	return nil
}

func replayEnds(s *subject) error {
	store, err := s.with(log(1, 10))
	if err != nil {
		return err
	}
	uses := 0
	err = store.Replay(s.ctx, 2, func(e *ledger.Entry) error {
		if uses++; e.Sequence == 5 {
			return errStop
		}
		return nil
	})
	if !errors.Is(err, errStop) || uses != 3 {
		return wrong(err, "a replay after entry 2 whose use fails at entry 5: %d uses", uses)
	}
	return store.holds(0, log(1, 10)) // nothing is left locked
}

// appendWhole appends a commit that no log can have: its last entry has the number of
// one that is there. A store that does not look at numbers may take it.
func appendWhole(s *subject) error {
	store, err := s.with(log(1, 3))
	if err != nil {
		return err
	}
	before, err := store.Head(s.ctx)
	if err != nil {
		return err
	}
	if err := store.Append(s.ctx, append(log(4, 40), log(2, 2)...)); err == nil {
		return nil
	}
	return store.twice(func(o *opened) error {
		if err := o.holds(0, log(1, 3)); err != nil {
			return fmt.Errorf("after an append that failed: %w", err)
		}
		if head, err := o.Head(s.ctx); err != nil || head != before {
			return wrong(err, "after an append that failed: the head changed from %v to %v", before, head)
		}
		return nil
	})
}
