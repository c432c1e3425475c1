package ledger_test

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/penstockhq/penstock/ledger"
)

func TestTheLargestAmountsDoNotStopTheLedger(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "data")
	l := open(t, directory)
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, ledger.Credit)
	for n := range 1030 { // 1024 times the largest amount exceed an int64
		owner := fmt.Sprint("owner ", n)
		if _, err := l.CreateAccount(t.Context(), owner, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := l.TopUp(t.Context(), owner, ledger.MaxMicro, owner); err != nil {
			t.Fatal(err)
		}
		nonsense := ledger.Quantity{InputTokens: math.MaxInt64, OutputTokens: math.MaxInt64, Duration: math.MaxInt64}
		id := hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m"})
		if _, err := l.Settle(t.Context(), id, ledger.Settlement{Quantity: nonsense}); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := l.Usage(t.Context(), ledger.UsageQuery{KeyID: key.ID})
	if err != nil || len(rows) != 1 || rows[0].InputTokens != math.MaxInt64 || rows[0].OutputTokens != math.MaxInt64 || rows[0].Duration < 0 {
		t.Errorf("usage: %+v, %v", rows, err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l = open(t, directory)
	if account, _ := l.Account("owner 1029"); account.Available != ledger.MaxMicro {
		t.Errorf("account: %+v", account)
	}
}
