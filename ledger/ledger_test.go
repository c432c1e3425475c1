package ledger_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// open opens the ledger in a directory and closes it at the end of the test.
func open(t testing.TB, directory string, options ...ledger.Option) *ledger.Ledger {
	t.Helper()
	store, err := sqlitestore.Open(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), store, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

// member makes a key of an account with credit.
func member(t testing.TB, l *ledger.Ledger, request ledger.NewKey, credit ledger.Micro) (ledger.Key, string) {
	t.Helper()
	if request.Name == "" {
		request.Name = "test"
	}
	key, secret, err := l.CreateKey(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if credit > 0 {
		if _, err := l.TopUp(t.Context(), key.Owner, credit, "first top-up of "+key.ID); err != nil {
			t.Fatal(err)
		}
	}
	return key, secret.Reveal()
}

func TestACallIsHeldSettledAndFoundAgainAfterARestart(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "data")
	l := open(t, directory)
	key, text := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	if got, err := l.Authenticate(text); err != nil || got.ID != key.ID || got.Owner != "acme" {
		t.Fatalf("authenticate: %+v, %v", got, err)
	}
	hold, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: "tiny", Worst: ledger.Quantity{Duration: time.Minute}, RequestID: "r1"})
	if err != nil || hold.Amount != ledger.Credit {
		t.Fatalf("hold: %+v, %v", hold, err)
	}
	charge, err := l.Settle(t.Context(), hold.ID, ledger.Settlement{Quantity: ledger.Quantity{InputTokens: 5, OutputTokens: 7, Duration: 30 * time.Second}})
	if err != nil || charge.Amount != ledger.Credit/2 || charge.Balance != 9_500_000 {
		t.Fatalf("settle: %+v, %v", charge, err)
	}
	if _, err := l.Settle(t.Context(), hold.ID, ledger.Settlement{}); !errors.Is(err, ledger.ErrResolved) {
		t.Fatalf("second settle: %v", err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	l = open(t, directory)
	account, _ := l.Account("acme")
	if account.Available != 9_500_000 || account.Spent != 500_000 || account.Held != 0 {
		t.Fatalf("account after restart: %+v", account)
	}
	if _, err := l.Authenticate(text); err != nil {
		t.Fatalf("authenticate after restart: %v", err)
	}
	if _, err := l.Settle(t.Context(), hold.ID, ledger.Settlement{}); !errors.Is(err, ledger.ErrResolved) {
		t.Fatalf("settle of a hold of the last process: %v", err)
	}
	rows, err := l.Usage(t.Context(), ledger.UsageQuery{KeyID: key.ID})
	if err != nil || len(rows) != 1 || rows[0].Requests != 1 || rows[0].OutputTokens != 7 || rows[0].Charged != 500_000 {
		t.Fatalf("usage after restart: %+v, %v", rows, err)
	}
	entries, err := l.Entries(t.Context(), charge.Sequence-1, 1)
	if err != nil || len(entries) != 1 || entries[0].RequestID != "r1" || entries[0].Amount != 500_000 {
		t.Fatalf("entry of the charge: %+v, %v", entries, err)
	}
}

func TestASecondProcessIsToldThatTheLedgerIsOpen(t *testing.T) {
	directory := t.TempDir()
	open(t, directory)
	_, err := sqlitestore.Open(t.Context(), directory)
	if !errors.Is(err, ledger.ErrLocked) {
		t.Fatalf("second open: %v", err)
	}
	if !strings.Contains(err.Error(), directory) {
		t.Errorf("error does not name the file: %v", err)
	}
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

func TestACloseThatGaveUpLeavesNobodyWaiting(t *testing.T) {
	directory := t.TempDir()
	inner, err := sqlitestore.Open(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	store := &stuckStore{Store: inner, stuck: make(chan struct{}, 10), free: make(chan struct{})}
	l, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	request := ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1)}
	holds := []ledger.HoldID{hold(t, l, request), hold(t, l, request)}
	store.stick.Store(true)
	settled := make(chan error, len(holds))
	settle := func(id ledger.HoldID) {
		_, err := l.Settle(context.Background(), id, ledger.Settlement{Quantity: minuteOf(1)})
		settled <- err
	}
	go settle(holds[0])
	<-store.stuck
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("close while the disk is stuck: %v", err)
	}
	go settle(holds[1])
	for l.Stats().Held > 0 {
		time.Sleep(time.Millisecond)
	}
	close(store.free)
	for range holds {
		select {
		case err := <-settled:
			if err != nil {
				t.Errorf("settle: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("a settlement waits for a commit that never comes")
		}
	}
	testkit.Eventually(t, "the file is free", func() bool {
		again, err := sqlitestore.Open(t.Context(), directory)
		return err == nil && again.Close() == nil
	})
}

// stuckStore does not answer until it is let go.
type stuckStore struct {
	*sqlitestore.Store
	stick       atomic.Bool
	stuck, free chan struct{}
}

func (s *stuckStore) Append(ctx context.Context, entries []ledger.Entry) error {
	if s.stick.Load() {
		s.stuck <- struct{}{}
		<-s.free
	}
	return s.Store.Append(ctx, entries)
}

// setForward returns a time as it is read after the wall clock was set forward: its
// monotonic part stays. Package time keeps the seconds of the wall clock from bit
// 30 on.
func setForward(t time.Time, by time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(by/time.Second) << 30
	return t
}
