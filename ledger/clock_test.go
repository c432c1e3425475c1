package ledger_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// setForward returns a time as it is read after the wall clock was set forward: its
// monotonic part stays. Package time keeps the seconds of the wall clock from bit
// 30 on.
func setForward(t time.Time, by time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(by/time.Second) << 30
	return t
}

func TestSettingTheWallClockEndsNoCall(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return setForward(time.Now(), time.Duration(ahead.Load())) }
	l := open(t, t.TempDir(), ledger.WithClock(now))
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	id := hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1), Deadline: now().Add(time.Minute)})
	ahead.Store(int64(24 * time.Hour))
	if at := now(); time.Until(at) > time.Second || time.Until(at.Round(0)) < 23*time.Hour {
		t.Fatal("package time lays its times out in another way now, which setForward must know")
	}
	time.Sleep(1200 * time.Millisecond) // the janitor looks once a second
	if charge, err := l.Settle(t.Context(), id, ledger.Settlement{Quantity: minuteOf(1)}); err != nil || charge.Amount != ledger.Credit {
		t.Errorf("settle: %+v, %v", charge, err)
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

func TestAnIntervalIsKeptUnderLoad(t *testing.T) {
	inner, err := sqlitestore.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := &countingStore{Store: inner}
	l, err := ledger.Open(t.Context(), store, ledger.WithInterval(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	before, start := store.commits.Load(), time.Now()
	calls := 0
	for ; time.Since(start) < 550*time.Millisecond; calls++ {
		if err := l.Void(t.Context(), hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m"}), ledger.OutcomeUpstreamFailed); err != nil {
			t.Fatal(err)
		}
		for pause := time.Now(); time.Since(pause) < 20*time.Microsecond; { // a sleep would be far longer
		}
	}
	if commits := store.commits.Load() - before; commits > 10 || commits < 1 {
		t.Errorf("%d commits in %s with an interval of 100 ms", commits, time.Since(start))
	}
	t.Logf("%d calls, largest commit %d", calls, store.largest.Load())
}
