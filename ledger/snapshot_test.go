package ledger_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// busyStore has the next entry waiting whenever a commit ends.
type busyStore struct {
	*sqlitestore.Store
	committed atomic.Pointer[func()]
}

func (s *busyStore) Append(ctx context.Context, entries []ledger.Entry) error {
	err := s.Store.Append(ctx, entries)
	if committed := s.committed.Load(); committed != nil {
		(*committed)()
	}
	return err
}

func TestSnapshotsAreTakenAlsoIfTheLedgerIsNeverIdle(t *testing.T) {
	inner, err := sqlitestore.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := &busyStore{Store: inner}
	l, err := ledger.Open(t.Context(), store, ledger.WithSnapshotEvery(10))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 1000*ledger.Credit)
	var holds []ledger.HoldID
	for range 500 {
		holds = append(holds, hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1)}))
	}
	ended := make(chan bool, 1)
	next := func() {
		id := holds[0]
		holds = holds[1:]
		if err := l.Void(context.Background(), id, ledger.OutcomeUpstreamFailed); err != nil {
			t.Error(err)
		}
	}
	committed := func() {
		snapshots, err := inner.Snapshots(context.Background())
		if err != nil {
			t.Error(err)
		}
		if len(holds) == 0 || len(snapshots) > 0 || err != nil {
			store.committed.Store(nil)
			ended <- len(snapshots) > 0
			return
		}
		time.Sleep(time.Millisecond)
		next()
	}
	store.committed.Store(&committed)
	next()
	if !<-ended {
		t.Error("no snapshot in 500 commits without a pause")
	}
}
