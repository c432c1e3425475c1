package ledger_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// open opens the ledger in a directory and closes it at the end of the test.
func open(t testing.TB, directory string, opts ...ledger.Option) *ledger.Ledger {
	t.Helper()
	store, err := sqlitestore.Open(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), store, opts...)
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
