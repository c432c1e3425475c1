package runtime

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

func TestTheHeadOfTheLedgerIsPublished(t *testing.T) {
	m := newHeadMetrics()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("metrics of a ledger that is not open: %v, %v", families, err)
	}
	store, err := sqlitestore.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close(t.Context())
	m.ledger.Store(opened)
	head, err := opened.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 2 {
		t.Fatalf("%v, %v", families, err)
	}
	for i, want := range []string{hex.EncodeToString(head.Hash[:6]), fmt.Sprintf("%012x", head.Sequence)} {
		if got := fmt.Sprintf("%012x", int64(families[i].GetMetric()[0].GetGauge().GetValue())); got != want {
			t.Errorf("%s is %s, want %s", families[i].GetName(), got, want)
		}
	}
}
