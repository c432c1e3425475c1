package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// The tests of this file are named after the five ways in which gateways are known
// to lose money, their own or their customers'.

const second = time.Second

// minuteOf is a quantity that costs whole credits at the default price.
func minuteOf(credits int64) ledger.Quantity {
	return ledger.Quantity{Duration: time.Duration(credits) * time.Minute}
}

// hold takes a hold or fails the test.
func hold(t testing.TB, l *ledger.Ledger, request ledger.HoldRequest) ledger.HoldID {
	t.Helper()
	h, err := l.Hold(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return h.ID
}

func TestFailureClassCheckThenActCannotOverspend(t *testing.T) {
	l := open(t, t.TempDir())
	const balance, budget = 40, 25
	key, _ := member(t, l, ledger.NewKey{Owner: "acme", HasBudget: true, Budget: budget * ledger.Credit}, balance*ledger.Credit)
	var spent, admitted atomic.Int64
	var callers sync.WaitGroup
	for caller := range 64 {
		callers.Go(func() {
			for range 5 {
				h, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1)})
				var credit *ledger.CreditError
				if errors.As(err, &credit) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				admitted.Add(1)
				// The backend lies: every third call takes three times what was held.
				charge, err := l.Settle(t.Context(), h.ID, ledger.Settlement{Quantity: minuteOf(int64(1 + 2*(caller%3/2)))})
				if err != nil {
					t.Error(err)
				}
				spent.Add(int64(charge.Amount))
			}
		})
	}
	callers.Wait()
	account, _ := l.Account("acme")
	key, _ = l.Key(key.ID)
	if account.Available < 0 || account.Held != 0 || key.Spent > budget*ledger.Credit {
		t.Errorf("account %+v, key spent %s of %s", account, key.Spent, key.Budget)
	}
	if got := ledger.Micro(spent.Load()); got != account.Spent || got != key.Spent || admitted.Load() == 0 {
		t.Errorf("callers were charged %s, the account %s, the key %s", got, account.Spent, key.Spent)
	}
}

func TestFailureClassHoldsNeitherLeakNorCountTwice(t *testing.T) {
	clock := newClock()
	l := open(t, t.TempDir(), ledger.WithClock(clock.now))
	key, _ := member(t, l, ledger.NewKey{Owner: "acme", HasBudget: true, Budget: 10 * ledger.Credit}, 100*ledger.Credit)
	request := ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(10)}
	for i := range 200 { // each hold takes the whole budget: a leak refuses the next
		id := hold(t, l, request)
		var err error
		switch i % 4 {
		case 0:
			err = l.Void(t.Context(), id, ledger.OutcomeOK)
		case 1:
			err = l.Void(t.Context(), id, ledger.OutcomeUpstreamFailed)
		case 2:
			_, err = l.Settle(t.Context(), id, ledger.Settlement{Quantity: ledger.Quantity{Duration: time.Millisecond}})
		case 3:
			_, err = l.Settle(t.Context(), id, ledger.Settlement{Outcome: ledger.OutcomeClientGone})
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, again := range []error{l.Void(t.Context(), id, ledger.OutcomeOK), settleOnly(t, l, id)} {
			if !errors.Is(again, ledger.ErrResolved) {
				t.Fatalf("second resolution: %v", again)
			}
		}
		// Every fourth call spent a little of the budget.
		request.Worst = ledger.Quantity{Duration: minuteOf(10).Duration - 2*time.Duration(i/4+1)*time.Millisecond}
	}
	// A call that nobody ends is given back after its deadline.
	request.Deadline = clock.now().Add(second)
	hold(t, l, request)
	if account, _ := l.Account("acme"); account.Held == 0 {
		t.Fatal("nothing is held")
	}
	clock.add(time.Minute)
	testkit.Eventually(t, "the expired hold is given back", func() bool {
		account, _ := l.Account("acme")
		return account.Held == 0
	})
	rows, err := l.Usage(t.Context(), ledger.UsageQuery{})
	if err != nil || len(rows) != 1 || rows[0].Requests != 151 {
		t.Errorf("usage counts calls that ran, 150 and the expired one: %+v, %v", rows, err)
	}
}

func settleOnly(t *testing.T, l *ledger.Ledger, id ledger.HoldID) error {
	t.Helper()
	_, err := l.Settle(t.Context(), id, ledger.Settlement{Quantity: minuteOf(1)})
	return err
}

func TestFailureClassNoSpendIsLostByDeploysAndFailedWrites(t *testing.T) {
	directory := t.TempDir()
	var want ledger.Micro
	for deploy := range 10 {
		l := open(t, directory, ledger.WithSnapshotEvery(5)) // a snapshot is often under way
		if deploy == 0 {
			member(t, l, ledger.NewKey{Owner: "acme"}, 1000*ledger.Credit)
		}
		keys, _, err := l.ListKeys(ledger.KeyQuery{})
		if err != nil {
			t.Fatal(err)
		}
		var charged atomic.Int64
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				h, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: keys[0].ID, Model: "m", Worst: minuteOf(1)})
				if err != nil {
					return // the deploy came first
				}
				charge, err := l.Settle(t.Context(), h.ID, ledger.Settlement{Quantity: ledger.Quantity{Duration: second}})
				if err == nil {
					charged.Add(int64(charge.Amount))
				} else if !errors.Is(err, ledger.ErrUnavailable) {
					t.Errorf("settle during a deploy: %v", err)
				}
			})
		}
		if deploy%2 == 0 {
			callers.Wait()
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		callers.Wait()
		want += ledger.Micro(charged.Load())
	}
	l := open(t, directory)
	if account, _ := l.Account("acme"); account.Spent != want || want == 0 {
		t.Errorf("acknowledged charges are %s, the account says %s", want, account.Spent)
	}
}

func TestFailureClassRetriesPollsAndReplaysChargeOnce(t *testing.T) {
	directory := t.TempDir()
	l := open(t, directory)
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	id := hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(5)})
	var charged atomic.Int32
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			switch err := settleOnly(t, l, id); {
			case err == nil:
				charged.Add(1)
			case !errors.Is(err, ledger.ErrResolved):
				t.Error(err)
			}
			result, err := l.TopUp(t.Context(), "acme", 7*ledger.Credit, "invoice 1")
			if err != nil || result.Sequence == 0 {
				t.Errorf("top-up: %+v, %v", result, err)
			}
		})
	}
	callers.Wait()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l = open(t, directory)
	if result, err := l.TopUp(t.Context(), "acme", 7*ledger.Credit, "invoice 1"); err != nil || !result.Replayed {
		t.Errorf("top-up repeated after a restart: %+v, %v", result, err)
	}
	if _, err := l.TopUp(t.Context(), "acme", 8*ledger.Credit, "invoice 1"); !errors.Is(err, ledger.ErrIdempotencyReused) {
		t.Errorf("top-up with another amount: %v", err)
	}
	if account, _ := l.Account("acme"); charged.Load() != 1 || account.Available != 16*ledger.Credit {
		t.Errorf("%d of 32 settlements charged, account %+v", charged.Load(), account)
	}
}

func TestFailureClassAnAbortedStreamPaysWhatItProduced(t *testing.T) {
	produced, all := ledger.Quantity{Duration: 20 * second}, ledger.Quantity{Duration: 50 * second}
	const fromProduced, fromAll = 333_334, 833_334
	for _, test := range []struct {
		name   string
		policy ledger.CrashPolicy
		end    func(*testing.T, *ledger.Ledger, ledger.HoldID) // nil: the process dies
		stream bool
		want   ledger.Micro
	}{
		{"client left", 0, settleWith(produced, ledger.OutcomeClientGone), true, fromProduced},
		{"upstream died", 0, settleWith(produced, ledger.OutcomeUpstreamFailed), true, fromProduced},
		{"upstream never answered", 0, voidWith(ledger.OutcomeUpstreamFailed), true, 0},
		{"finished", 0, settleWith(all, ledger.OutcomeOK), true, fromAll},
		{"gateway died, checkpoint", ledger.CrashCheckpoint, nil, true, fromProduced},
		{"gateway died, release", ledger.CrashRelease, nil, true, 0},
		{"gateway died, full", ledger.CrashFull, nil, true, ledger.Credit},
		{"gateway died, no stream", ledger.CrashCheckpoint, nil, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			directory := t.TempDir()
			l := open(t, directory, ledger.WithCrashPolicy(test.policy))
			key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
			id := hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1), Stream: test.stream})
			if err := l.Checkpoint(id, produced); err != nil {
				t.Fatal(err)
			}
			if test.end != nil {
				test.end(t, l, id)
			}
			// Closing resolves nothing: to the ledger it is a death.
			if err := l.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second start must not charge again
				l = open(t, directory, ledger.WithCrashPolicy(test.policy))
				account, _ := l.Account("acme")
				if account.Spent != test.want || account.Held != 0 {
					t.Errorf("spent %s, want %s; %s held", account.Spent, test.want, account.Held)
				}
				if err := l.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func settleWith(quantity ledger.Quantity, outcome ledger.Outcome) func(*testing.T, *ledger.Ledger, ledger.HoldID) {
	return func(t *testing.T, l *ledger.Ledger, id ledger.HoldID) {
		t.Helper()
		if _, err := l.Settle(t.Context(), id, ledger.Settlement{Quantity: quantity, Outcome: outcome}); err != nil {
			t.Fatal(err)
		}
	}
}

func voidWith(outcome ledger.Outcome) func(*testing.T, *ledger.Ledger, ledger.HoldID) {
	return func(t *testing.T, l *ledger.Ledger, id ledger.HoldID) {
		t.Helper()
		if err := l.Void(t.Context(), id, outcome); err != nil {
			t.Fatal(err)
		}
	}
}

// clock is a clock that tests turn.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// brokenStore is a real store whose commits start to fail.
type brokenStore struct {
	*sqlitestore.Store
	broken atomic.Bool
	tries  atomic.Int32
	room   atomic.Int64
}

var errDisk = errors.New("input/output error")

func (s *brokenStore) Append(ctx context.Context, entries []ledger.Entry) error {
	if s.broken.Load() {
		s.tries.Add(1)
		return fmt.Errorf("fsync: %w", errDisk)
	}
	return s.Store.Append(ctx, entries)
}

func (s *brokenStore) Room() (int64, error) { return s.room.Load(), nil }
