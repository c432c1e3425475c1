package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// A ledger is verified while the process that owns it has it open.
func Example() {
	if err := verifyWhileOpen(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// a second owner: another process has the ledger open
	// verified, balance 10.000000
}

func verifyWhileOpen(ctx context.Context) error {
	directory, err := os.MkdirTemp("", "sqlitestore")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	store, err := sqlitestore.Open(ctx, directory)
	if err != nil {
		return err
	}
	l, err := ledger.Open(ctx, store)
	if err != nil {
		return err
	}
	defer l.Close(ctx)
	if _, _, err := l.CreateKey(ctx, ledger.NewKey{Name: "first", Owner: "acme"}); err != nil {
		return err
	}
	if _, err := l.TopUp(ctx, "acme", 10*ledger.Credit, "invoice 4711"); err != nil {
		return err
	}

	if _, err := sqlitestore.Open(ctx, directory); errors.Is(err, ledger.ErrLocked) {
		fmt.Println("a second owner:", ledger.ErrLocked)
	}
	reader, err := sqlitestore.OpenReader(ctx, directory)
	if err != nil {
		return err
	}
	defer reader.Close()
	if _, err := ledger.Verify(ctx, reader); err != nil {
		return err
	}
	account, _ := l.Account("acme")
	fmt.Println("verified, balance", account.Available)
	return nil
}
