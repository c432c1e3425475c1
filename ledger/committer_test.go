package ledger_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// openBroken opens a ledger whose disk can be made to fail.
func openBroken(t *testing.T, directory string, options ...ledger.Option) (*ledger.Ledger, *brokenStore) {
	t.Helper()
	real, err := sqlitestore.Open(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	store := &brokenStore{Store: real}
	store.room.Store(1 << 40)
	l, err := ledger.Open(t.Context(), store, options...)
	if err != nil {
		t.Fatal(err)
	}
	return l, store
}

func TestAFailedWriteStopsAdmissionsForGoodAndIsNeverRetried(t *testing.T) {
	directory := t.TempDir()
	failed := make(chan error, 1)
	l, store := openBroken(t, directory, ledger.WithEvents(func(e ledger.Event) {
		if e.Kind == ledger.EventFailed {
			failed <- e.Err
		}
	}))
	key, text := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	request := ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1)}
	first, second := hold(t, l, request), hold(t, l, request)
	store.broken.Store(true)
	if err := settleOnly(t, l, first); !errors.Is(err, ledger.ErrUnavailable) || !errors.Is(err, errDisk) {
		t.Fatalf("settle while the disk fails: %v", err)
	}
	if err := <-failed; !errors.Is(err, errDisk) {
		t.Errorf("event: %v", err)
	}
	store.broken.Store(false) // a sync that works again proves nothing about the one that failed
	if err := settleOnly(t, l, second); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("settle afterwards: %v", err)
	}
	if _, err := l.Hold(t.Context(), request); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("hold afterwards: %v", err)
	}
	if _, err := l.TopUp(t.Context(), "acme", 1, "x"); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("top-up afterwards: %v", err)
	}
	if _, err := l.RevokeKey(t.Context(), key.ID); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("revocation afterwards: %v", err)
	}
	if l.Ready() == nil {
		t.Error("the ledger says that it is ready")
	}
	if _, err := l.Authenticate(text); err != nil {
		t.Errorf("reading afterwards: %v", err)
	}
	if entries, err := l.Entries(t.Context(), 0, 100); err != nil || len(entries) != 4 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	if n := store.tries.Load(); n != 1 {
		t.Errorf("the failed write was tried %d times", n)
	}
	if err := l.Close(t.Context()); !errors.Is(err, errDisk) {
		t.Errorf("close hides the failure: %v", err)
	}
	l = open(t, directory)
	if account, _ := l.Account("acme"); account.Available != 10*ledger.Credit || account.Spent != 0 {
		t.Errorf("after a restart: %+v", account)
	}
}

func TestADiskThatFillsUpStopsAdmissionsBeforeSettlements(t *testing.T) {
	l, store := openBroken(t, t.TempDir(), ledger.WithReserve(1<<20))
	defer l.Close(context.Background())
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	request := ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1)}
	running := hold(t, l, request)
	store.room.Store(1000)
	testkit.Eventually(t, "admissions stop", func() bool { return errors.Is(l.Ready(), ledger.ErrUnavailable) })
	if _, err := l.Hold(t.Context(), request); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("hold: %v", err)
	}
	if err := settleOnly(t, l, running); err != nil {
		t.Errorf("settle: %v", err)
	}
	store.room.Store(1 << 30)
	testkit.Eventually(t, "admissions go on", func() bool { return l.Ready() == nil })
	hold(t, l, request)
}

func TestAClockThatRunsBackwardsDoesNotTakeTheLogAlong(t *testing.T) {
	directory, clock := t.TempDir(), newClock()
	l := open(t, directory, ledger.WithClock(clock.now))
	key, text := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	clock.add(-48 * time.Hour)
	if err := settleOnly(t, l, hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1)})); err != nil {
		t.Fatal(err)
	}
	entries, err := l.Entries(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(entries); i++ {
		if entries[i].At.Before(entries[i-1].At) {
			t.Errorf("entry %d is older than the one before", entries[i].Sequence)
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l = open(t, directory, ledger.WithClock(clock.now))
	if _, err := l.Authenticate(text); err != nil {
		t.Error(err)
	}
}

func TestChargesOfLongCallsShareACommit(t *testing.T) {
	inner, err := sqlitestore.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := &countingStore{Store: inner}
	l, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	l.SetCommitWait(time.Hour) // the last call to end ends the wait
	const calls, ran = 10, 1000 * time.Hour
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, calls*100_000*ledger.Credit)
	ids := make([]ledger.HoldID, calls)
	for i := range ids {
		ids[i] = hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: ledger.Quantity{Duration: ran}})
	}
	before := store.commits.Load()
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			if _, err := l.Settle(t.Context(), id, ledger.Settlement{Quantity: ledger.Quantity{Duration: ran}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if commits := store.commits.Load() - before; commits != 1 {
		t.Errorf("%d commits for %d calls that could wait for each other", commits, calls)
	}
}

// countingStore counts commits.
type countingStore struct {
	*sqlitestore.Store
	commits, largest atomic.Int64
}

func (s *countingStore) Append(ctx context.Context, entries []ledger.Entry) error {
	s.commits.Add(1)
	s.largest.Store(max(s.largest.Load(), int64(len(entries))))
	return s.Store.Append(ctx, entries)
}
