package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware"
)

// priceless is a ledger without prices.
type priceless struct{ middleware.Ledger }

// noPrice is a ledger that cannot set one.
type noPrice struct{ *ledger.Ledger }

func (noPrice) SetPrice(context.Context, string, ledger.Price) error { return ledger.ErrUnavailable }

func TestAPathIsRefusedUntilItsPriceIsSet(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	for name, book := range map[string]middleware.Ledger{"no prices": priceless{h.ledger}, "failure": noPrice{h.ledger}, "set": h.ledger} {
		gate := middleware.NewGate(book, limiter.New(), middleware.WithFixedCost("/documents", 5))
		if status := ask(gate, h.text); status != http.StatusNotFound {
			t.Errorf("%s: %d before the price is set", name, status)
		}
		err, want := gate.SetPrices(t.Context()), http.StatusNotFound
		if name == "set" {
			want = http.StatusOK
		} else if err == nil || !strings.Contains(err.Error(), "/documents") {
			t.Errorf("%s: %v", name, err)
		}
		if status := ask(gate, h.text); status != want {
			t.Errorf("%s: %d, want %d, after %v", name, status, want, err)
		}
	}
}

// ask calls the path with a fixed cost.
func ask(gate *middleware.Gate, key string) int {
	request := httptest.NewRequest("POST", "/documents", nil)
	request.Header.Set("Authorization", "Bearer "+key)
	answer := httptest.NewRecorder()
	gate.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(answer, request)
	return answer.Code
}
