package aixplain_test

import (
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

func TestUsageRowsCountTheDayOfTheKeyAndOfEachModel(t *testing.T) {
	s := newServer(t)
	text := s.Mint(ledger.NewKey{Name: "m", Limits: []limits.Row{
		{RPD: 1000, TPD: 1000, TokenType: limits.Total}, {Model: "tiny", RPD: 2, TPD: 30, TokenType: limits.Output}, {Model: "large", RPM: 5},
	}})
	key, err := s.Ledger.Authenticate(text)
	if err != nil {
		t.Fatal(err)
	}
	s.Run(&key, "tiny", limiter.Tokens{Input: 10, Output: 4})
	s.Run(&key, "large", limiter.Tokens{Input: 1, Output: 1})
	const want = `[{"requestCount":2,"requestCountLimit":1000,"tokenCount":16,"tokenCountLimit":1000},` +
		`{"assetId":"tiny","requestCount":1,"requestCountLimit":2,"tokenCount":4,"tokenCountLimit":30},` +
		`{"assetId":"large","requestCount":1,"requestCountLimit":null,"tokenCount":2,"tokenCountLimit":null}]`
	if got := s.Call("GET", "/sdk/api-keys/usage-limits", text, "").Want(200); strings.TrimSpace(got.Body) != want {
		t.Errorf("a member sees %s, want %s", got.Body, want)
	}
	if got := s.Call("GET", "/sdk/api-keys/"+key.ID+"/usage-limits", s.Admin, "").Want(200); strings.TrimSpace(got.Body) != want {
		t.Errorf("the admin sees %s", got.Body)
	}
}
