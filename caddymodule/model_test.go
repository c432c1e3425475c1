package caddymodule

import (
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
)

func TestAPriceIsPerMinuteUnlessAnotherOneIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		price *Price
		want  ledger.Price
	}{
		"none":           {nil, ledger.Price{Minute: ledger.Credit}},
		"a minute":       {&Price{Minute: "2"}, ledger.Price{Minute: 2 * ledger.Credit}},
		"tokens":         {&Price{Input: "3", Output: "9"}, ledger.Price{Input: 3 * ledger.Credit, Output: 9 * ledger.Credit}},
		"tokens, minute": {&Price{Input: "3", Minute: "1"}, ledger.Price{Input: 3 * ledger.Credit, Minute: ledger.Credit}},
		"cached":         {&Price{Input: "3", CachedInput: "0.3"}, ledger.Price{Input: 3 * ledger.Credit, CachedInput: 300_000}},
		"cached free":    {&Price{Input: "3", CachedInput: "0"}, ledger.Price{Input: 3 * ledger.Credit, CachedInput: ledger.Free}},
		"requests":       {&Price{Request: "0.001"}, ledger.Price{Request: 1000}},
	} {
		if got, err := (&Model{Price: test.price}).price(); err != nil || got != test.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, test.want)
		}
	}
}

func TestWrongValuesOfAModelAreRefused(t *testing.T) {
	for want, model := range map[string]Model{
		"price output":          {Price: &Price{Output: "much"}},
		"price input: -1":       {Price: &Price{Input: "-1"}},
		"above the price of in": {Price: &Price{Input: "1", CachedInput: "2"}},
		"max_output_tokens -1":  {MaxOutputTokens: -1},
	} {
		if err := model.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
