package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func since(s *subject) error {
	empty, err := s.fresh()
	if err != nil {
		return err
	}
	if got, err := empty.Since(s.ctx, start); err != nil || got != 0 {
		return wrong(err, "since, of no entries: %d", got)
	}
	entries := log(1, 60)
	for i := 20; i < 30; i++ { // some at the same moment
		entries[i].At = entries[20].At
	}
	store, err := s.with(entries[:25], entries[25:])
	if err != nil {
		return err
	}
	moments := []time.Time{time.Unix(0, 0), start.AddDate(10, 0, 0), start.Truncate(24*time.Hour).AddDate(0, 0, 1)}
	for i := range entries {
		for _, step := range []time.Duration{-time.Microsecond, 0, time.Microsecond} {
			moments = append(moments, entries[i].At.Add(step))
		}
	}
	for _, moment := range moments {
		want := int64(0)
		for i := range entries {
			if entries[i].At.Before(moment) {
				want = entries[i].Sequence
			}
		}
		local := moment.In(time.FixedZone("", 9*3600)) // the same moment
		if got, err := store.Since(s.ctx, local); err != nil || got != want {
			return wrong(err, "since %v: entry %d, want %d", moment, got, want)
		}
	}
	return nil
}

// finder tests stores that are a ledger.EntryFinder, too.
func finder(s *subject) error {
	entries := log(1, 100)
	for i := range entries {
		entries[i].Account = []string{"acme", "other"}[i/5%2]
		entries[i].RequestID = fmt.Sprint("request-", i/7)
		entries[i].Kind = []ledger.Kind{ledger.KindSettle, ledger.KindVoid, ledger.KindTopUp}[i/3%3]
	}
	store, err := s.with(entries)
	if err != nil {
		return err
	}
	find, ok := store.Store.(ledger.EntryFinder)
	if !ok {
		return nil
	}
	for _, query := range []ledger.EntryQuery{
		{},
		{After: 40},
		{Limit: 3},
		{Account: "acme"},
		{Account: "acm_"},
		{KeyID: "key-1", Account: "other"},
		{RequestID: "request-6"},
		{Kinds: []ledger.Kind{ledger.KindVoid}},
		{Kinds: []ledger.Kind{ledger.KindVoid, ledger.KindTopUp}, Limit: 5},
		{From: entries[30].At},
		{Before: entries[30].At},
		{From: entries[10].At, Before: entries[50].At, After: 20, KeyID: "key-2"},
		{From: entries[50].At, Before: entries[10].At},
		{From: start.AddDate(1, 0, 0)},
		{Before: start},
	} {
		if query.Limit == 0 {
			query.Limit = 1000
		}
		var want []ledger.Entry
		for i := range entries {
			if len(want) < query.Limit && query.Matches(&entries[i]) {
				want = append(want, entries[i])
			}
		}
		got, err := find.FindEntries(s.ctx, query)
		if err == nil {
			err = same(got, want)
		}
		if err != nil {
			return fmt.Errorf("entries that match %+v: %w", query, err)
		}
	}
	return nil
}

// besideWriter reads while entries are appended and snapshots are saved: each reader
// sees a log without gaps that has at least what was durable when it began.
func besideWriter(s *subject) error {
	const commits, size = 30, 4
	store, err := s.fresh()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var durable int64
	known := func() int64 { mu.Lock(); defer mu.Unlock(); return durable }
	done := make(chan error, 4)
	go func() {
		var failed error
		for i := int64(0); i < commits && failed == nil; i++ {
			failed = store.Append(s.ctx, log(i*size+1, (i+1)*size))
			mu.Lock()
			durable = (i + 1) * size
			mu.Unlock()
		}
		done <- failed
	}()
	go func() {
		var failed error
		for i := int64(1); i <= commits/3 && failed == nil; i++ {
			failed = store.SaveSnapshot(s.ctx, snapshotOf(i, 10_000, false))
		}
		done <- failed
	}()
	readers := func() error {
		for known() < commits*size && !s.t.Failed() {
			if err := store.seesAll(known()); err != nil {
				return err
			}
		}
		return store.seesAll(commits * size)
	}
	for range 2 {
		go func() { done <- readers() }()
	}
	return errors.Join(<-done, <-done, <-done, <-done)
}

// seesAll reads in every way and compares what comes with the log.
func (o *opened) seesAll(atLeast int64) error {
	ctx := o.subject.ctx
	entries, err := o.replay(0)
	if err == nil {
		err = same(entries, log(1, max(int64(len(entries)), atLeast)))
	}
	if err != nil {
		return fmt.Errorf("replay beside a writer: %w", err)
	}
	atLeast = int64(len(entries)) // what was seen once stays
	head, err := o.Head(ctx)
	if err != nil || head.Sequence < atLeast {
		return wrong(err, "head beside a writer: entry %d, at least %d is durable", head.Sequence, atLeast)
	}
	last, err := o.Since(ctx, start.AddDate(1, 0, 0))
	if err != nil || last < atLeast {
		return wrong(err, "since beside a writer: entry %d, at least %d is durable", last, atLeast)
	}
	if entries, err = o.Entries(ctx, atLeast/2, 3); err == nil {
		err = same(entries, log(atLeast/2+1, atLeast/2+int64(len(entries))))
	}
	if err != nil {
		return fmt.Errorf("entries beside a writer: %w", err)
	}
	_, err = o.Snapshots(ctx)
	return err
}
