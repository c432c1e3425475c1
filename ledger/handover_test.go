package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// held opens a ledger with three running calls: a stream with a checkpoint, a stream
// without one, and a call that is no stream.
func held(t *testing.T, directory string) (*ledger.Ledger, ledger.Key, []ledger.HoldID) {
	t.Helper()
	l := open(t, directory)
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	var ids []ledger.HoldID
	for n, id := range []string{"first", "second", "third"} {
		hold, err := l.Hold(t.Context(), ledger.HoldRequest{
			KeyID: key.ID, Model: "tiny", RequestID: id, Worst: ledger.Quantity{Duration: time.Minute},
			Deadline: time.Now().Add(time.Hour), Stream: n < 2,
		})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, hold.ID)
	}
	if err := l.Checkpoint(ids[0], ledger.Quantity{Duration: 30 * time.Second}); err != nil {
		t.Fatal(err)
	}
	return l, key, ids
}

// verified checks that nothing of a ledger's log contradicts the rest.
func verified(t *testing.T, directory string) {
	t.Helper()
	if _, err := sqlitestore.VerifyFile(t.Context(), sqlitestore.FilePath(directory), nil); err != nil {
		t.Error(err)
	}
}

func TestRunningCallsAreSettledByTheProcessThatTakesTheLedgerOver(t *testing.T) {
	directory := t.TempDir()
	old, key, ids := held(t, directory)
	running, err := old.HandOver(t.Context())
	if err != nil || len(running) != 3 {
		t.Fatalf("%+v, %v", running, err)
	}
	if _, err := old.Settle(t.Context(), ids[0], ledger.Settlement{}); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("the old process settles: %v", err)
	}
	if _, err := old.HandOver(t.Context()); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("it hands over twice: %v", err)
	}
	next := open(t, directory, ledger.WithRunning(running))
	if account, _ := next.Account("acme"); account.Held != 3*ledger.Credit || account.Spent != 0 {
		t.Fatalf("the next process begins with %+v", account)
	}
	if _, err := next.Extend(t.Context(), ids[1], ledger.Quantity{Duration: 2 * time.Minute}); err != nil {
		t.Error(err)
	}
	for _, id := range ids[:2] {
		if err := next.Checkpoint(id, ledger.Quantity{Duration: 45 * time.Second}); err != nil {
			t.Error(err)
		}
	}
	for _, id := range ids[:2] {
		charge, err := next.Settle(t.Context(), id, ledger.Settlement{Quantity: ledger.Quantity{Duration: time.Minute}})
		if err != nil || charge.Amount != ledger.Credit {
			t.Errorf("%+v, %v", charge, err)
		}
		if _, err := next.Settle(t.Context(), id, ledger.Settlement{}); !errors.Is(err, ledger.ErrResolved) {
			t.Errorf("settled twice: %v", err)
		}
	}
	if err := next.Void(t.Context(), ids[2], ledger.OutcomeOK); err != nil {
		t.Error(err)
	}
	if account, _ := next.Account("acme"); account.Held != 0 || account.Spent != 2*ledger.Credit {
		t.Errorf("the account ends as %+v", account)
	}
	if _, err := next.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: "tiny"}); err != nil {
		t.Error(err)
	}
	verified(t, directory)
}

// Whatever process dies, each call is charged once: as it was settled, or as it is after
// any crash.
func TestACallThatWasHandedOverEndsOnceWhoeverDies(t *testing.T) {
	for _, settled := range []bool{false, true} {
		directory := t.TempDir()
		old, _, ids := held(t, directory)
		running, err := old.HandOver(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		next := open(t, directory, ledger.WithRunning(running))
		want := ledger.Credit / 2 // the checkpoint
		if settled {
			if _, err := next.Settle(t.Context(), ids[0], ledger.Settlement{Quantity: ledger.Quantity{Duration: time.Minute}}); err != nil {
				t.Fatal(err)
			}
			want = ledger.Credit
		}
		// As after a crash: nobody says that calls run.
		if err := next.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		third := open(t, directory, ledger.WithRunning(nil))
		if account, _ := third.Account("acme"); account.Held != 0 || account.Spent != want {
			t.Errorf("settled %t: the account is %+v, want %s spent", settled, account, want)
		}
		if _, err := third.Settle(t.Context(), ids[0], ledger.Settlement{}); !errors.Is(err, ledger.ErrResolved) {
			t.Errorf("settled %t: it can be settled again: %v", settled, err)
		}
		// A list that is out of date opens nothing that has ended.
		if err := third.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		fourth := open(t, directory, ledger.WithRunning(running))
		if account, _ := fourth.Account("acme"); account.Held != 0 || account.Spent != want {
			t.Errorf("settled %t: an old list makes it %+v", settled, account)
		}
		verified(t, directory)
	}
}
