package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// A customer tops up, and a call of a minute and a half is held, run and charged.
func Example() {
	ctx := context.Background()
	directory, err := os.MkdirTemp("", "ledger")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(directory)
	store, err := sqlitestore.Open(ctx, directory)
	if err != nil {
		fmt.Println(err)
		return
	}
	l, err := ledger.Open(ctx, store)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close(ctx)

	key, secret, err := l.CreateKey(ctx, ledger.NewKey{Name: "first", Owner: "acme"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the key's text prints as", secret)
	if _, err := l.TopUp(ctx, "acme", 10*ledger.Credit, "invoice 4711"); err != nil {
		fmt.Println(err)
		return
	}

	hold, err := l.Hold(ctx, ledger.HoldRequest{
		KeyID: key.ID, Model: "tiny", Deadline: time.Now().Add(2 * time.Minute),
		Worst: ledger.Quantity{Duration: 2 * time.Minute}, // one credit a minute, unless the model has a price
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	account, _ := l.Account("acme")
	fmt.Println("held", account.Held, "available", account.Available)

	charge, err := l.Settle(ctx, hold.ID, ledger.Settlement{Quantity: ledger.Quantity{Duration: 90 * time.Second}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("charged", charge.Amount, "available", charge.Balance)

	_, err = l.Settle(ctx, hold.ID, ledger.Settlement{})
	fmt.Println("a second time:", errors.Is(err, ledger.ErrResolved))
	// Output:
	// the key's text prints as [secret]
	// held 2.000000 available 8.000000
	// charged 1.500000 available 8.500000
	// a second time: true
}
