package sqlitestore_test

import (
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/ledger/storetest"
)

func TestTheStoreKeepsWhatStoresPromise(t *testing.T) {
	storetest.Run(t, func(t testing.TB, directory string) (ledger.Store, error) {
		return sqlitestore.Open(t.Context(), directory)
	})
}
