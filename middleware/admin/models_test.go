package admin

import (
	"context"
	"fmt"
	"testing"

	"github.com/penstockhq/penstock/ledger"
)

func TestModelsAreListedWithTheirPrices(t *testing.T) {
	s := newServer(t, WithModels(Model{ID: "tiny", MaxOutputTokens: 512}, Model{ID: "large", Path: "acme/large/acme"}))
	if err := s.Ledger.SetPrice(context.Background(), "large", ledger.Price{Input: 3 * ledger.Credit, Output: 9 * ledger.Credit}); err != nil {
		t.Fatal(err)
	}
	models := s.Call("GET", "/admin/v1/models", s.Member, "").Want(200).List("models")
	if got := fmt.Sprint(models); got != "[map[id:tiny max_output_tokens:512 name:tiny price:map[cached_input:0.000000 input:0.000000 minute:1.000000 output:0.000000 request:0.000000]] "+
		"map[id:large max_output_tokens:0 name:large path:acme/large/acme price:map[cached_input:3.000000 input:3.000000 minute:0.000000 output:9.000000 request:0.000000]]]" {
		t.Error(got)
	}
	s.Call("GET", "/admin/v1/models", "", "").Want(401)
}
