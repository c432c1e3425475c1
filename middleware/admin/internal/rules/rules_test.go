package rules

import (
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// refusal returns what a check refuses, empty if nothing.
func refusal(t *testing.T, check func(*rest.Fields)) string {
	t.Helper()
	f, err := rest.ParseFields([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	check(f)
	if f.Err() == nil {
		return ""
	}
	return f.Err().Error()
}

func TestLimitsAreHeldToTheirBounds(t *testing.T) {
	set := &Set{Bounds: [5]Range{{Low: 10, High: 600}, {Low: 5}}}
	for _, c := range []struct {
		row  ledger.Limits
		want string
	}{
		{ledger.Limits{RPM: 10}, ""},
		{ledger.Limits{RPM: 600, TPM: 5, RPD: 1, TPD: 1, MaxInFlight: 1}, ""},
		{ledger.Limits{RPM: 9}, "rpm: 9 is below 10"},
		{ledger.Limits{RPM: 601}, "rpm: 601 is above 600"},
		{ledger.Limits{}, "rpm: 0 means no limit, but the maximum here is 600"},
		{ledger.Limits{RPM: 10, TPM: 4}, "tpm: 4 is below 5"},
	} {
		if got := refusal(t, func(f *rest.Fields) { set.CheckBounds(f, c.row) }); got != c.want {
			t.Errorf("%+v: %q, want %q", c.row, got, c.want)
		}
	}
	if raised := set.Raise(ledger.Limits{TPM: 7}); raised != (ledger.Limits{RPM: 600, TPM: 7}) {
		t.Errorf("raised to %+v", raised)
	}
}

func TestModelsAreKnownByIDAndFoundByPath(t *testing.T) {
	set := &Set{Models: []Model{{ID: "tiny", Path: "acme/tiny"}, {ID: "large", Name: "Large"}}}
	if set.ModelID("acme/tiny") != "tiny" || set.ModelID("large") != "large" || set.ModelID("") != "" || set.ModelID("x") != "x" {
		t.Error("a name leads to another model")
	}
	if set.Model("acme/tiny") != nil || set.Model("tiny").Title() != "tiny" || set.Model("large").Title() != "Large" {
		t.Error("a model is another one")
	}
	check := func(set *Set, model string) string {
		return refusal(t, func(f *rest.Fields) { set.CheckModel(f, "model", model) })
	}
	if check(set, "tiny") != "" || check(new(Set), "any") != "" {
		t.Error("a model that is served is refused")
	}
	if got := check(set, "none"); !strings.Contains(got, "no model") {
		t.Errorf("a model that is not served: %q", got)
	}
	if got := check(new(Set), ""); got != "model: required" {
		t.Errorf("no model: %q", got)
	}
}

func TestTheDefaultRowIsOfTheWholeKey(t *testing.T) {
	set := &Set{Defaults: ledger.Limits{Model: "ignored", RPM: 60}}
	row := set.DefaultRow()
	if row != (ledger.Limits{RPM: 60, TokenType: "total"}) || IsUnlimited(row) || !IsUnlimited(ledger.Limits{Model: "m", TokenType: "input"}) {
		t.Errorf("%+v", row)
	}
}

func TestTheRowOfTheWholeKeyIsSplitOff(t *testing.T) {
	whole, models := Split([]ledger.Limits{{Model: "m", RPM: 1}, {TPM: 2, TokenType: "input"}, {Model: "n"}})
	if whole != (ledger.Limits{TPM: 2, TokenType: "input"}) || len(models) != 2 || models[0] != (ledger.Limits{Model: "m", RPM: 1, TokenType: "total"}) {
		t.Errorf("%+v and %+v", whole, models)
	}
	if whole, models := Split(nil); whole != (ledger.Limits{TokenType: "total"}) || models != nil {
		t.Errorf("%+v and %+v", whole, models)
	}
}
