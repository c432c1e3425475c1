//go:build linux

package load

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limits"
)

// makeKeys fills the ledger of a home directory with keys, ten for each account, and
// returns their texts.
func makeKeys(b *testing.B, home string, count int) []string {
	b.Helper()
	store, err := sqlitestore.Open(b.Context(), filepath.Join(home, "data"))
	if err != nil {
		b.Fatal(err)
	}
	l, err := ledger.Open(b.Context(), store)
	if err != nil {
		b.Fatal(err)
	}
	keys, places := make([]string, count), make(chan int)
	var makers sync.WaitGroup
	for range min(count, 256) { // they share commits
		makers.Go(func() {
			for i := range places {
				text, err := makeKey(b.Context(), l, i)
				if err != nil {
					b.Error(err)
				}
				keys[i] = text
			}
		})
	}
	for i := range count {
		places <- i
	}
	close(places)
	makers.Wait()
	if err := l.Close(context.WithoutCancel(b.Context())); err != nil || b.Failed() {
		b.Fatal("filling the ledger", err)
	}
	return keys
}

// wide is limits that count everything and never bind.
var wide = limits.Row{RPM: 1e9, TPM: 1e12, RPD: 1e9, TPD: 1e12, MaxInFlight: 1e5}

// makeKey makes one key, and its account where it is the first of ten.
func makeKey(ctx context.Context, l *ledger.Ledger, i int) (string, error) {
	owner := fmt.Sprintf("account-%d", i/10)
	_, secret, err := l.CreateKey(ctx, ledger.NewKey{
		Owner: owner, Name: fmt.Sprintf("key-%d", i), Limits: []limits.Row{wide},
	})
	if err == nil && i%10 == 0 {
		_, err = l.TopUp(ctx, owner, 1_000_000*ledger.Credit, "load of "+owner)
	}
	return secret.Reveal(), err
}
