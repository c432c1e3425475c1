package middleware_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

func TestModelsAreListedForTheKey(t *testing.T) {
	h := build(t, chat, ledger.NewKey{Models: []string{"b"}}, middleware.WithModels(middleware.Model{Name: "a"}, middleware.Model{Name: "b", Description: "the second"}))
	_, all := h.newKey(ledger.NewKey{}, 0)
	for key, want := range map[string]string{h.text: "b: the second", all: "a: b: the second"} {
		got := h.do("GET", "/v1/models", "", "Authorization", "Bearer "+key)
		var list struct {
			Data []struct{ ID, Description string }
		}
		if err := json.Unmarshal([]byte(got.body), &list); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, model := range list.Data {
			names = append(names, strings.TrimSpace(model.ID+": "+model.Description))
		}
		if got.status != 200 || strings.Join(names, " ") != want {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	h.untouched()
}
