package rules

import (
	"strings"
	"testing"

	"github.com/penstockhq/penstock/limits"
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
	set := &Set{Bounds: limits.Bounds{limits.RPM: {Min: 10, Max: 600}, limits.TPM: {Min: 5}}}
	for _, c := range []struct {
		row  limits.Row
		want string
	}{
		{limits.Row{RPM: 10}, ""},
		{limits.Row{RPM: 600, TPM: 5, RPD: 1, TPD: 1, MaxInFlight: 1}, ""},
		{limits.Row{RPM: 9}, "rpm: 9 is below the minimum 10"},
		{limits.Row{RPM: 601}, "rpm: 601 is above the maximum 600"},
		{limits.Row{}, "rpm: 0 means no limit, but the maximum here is 600"},
		{limits.Row{RPM: 10, TPM: 4}, "tpm: 4 is below the minimum 5"},
	} {
		if got := refusal(t, func(f *rest.Fields) { set.CheckBounds(f, c.row) }); got != c.want {
			t.Errorf("%+v: %q, want %q", c.row, got, c.want)
		}
	}
	if raised := set.Bounds.Raise(limits.Row{TPM: 7}); raised != (limits.Row{RPM: 600, TPM: 7}) {
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
	set := &Set{Defaults: limits.Row{Model: "ignored", RPM: 60}}
	row := set.DefaultRow()
	if row != (limits.Row{RPM: 60, TokenType: limits.Total}) || row.Unlimited() || !(&limits.Row{Model: "m", TokenType: limits.Input}).Unlimited() {
		t.Errorf("%+v", row)
	}
}

func TestTheRowOfTheWholeKeyIsSplitOff(t *testing.T) {
	whole, models := Split([]limits.Row{{Model: "m", RPM: 1}, {TPM: 2, TokenType: limits.Input}, {Model: "n"}})
	if whole != (limits.Row{TPM: 2, TokenType: limits.Input}) || len(models) != 2 || models[0] != (limits.Row{Model: "m", RPM: 1, TokenType: limits.Total}) {
		t.Errorf("%+v and %+v", whole, models)
	}
	if whole, models := Split(nil); whole != (limits.Row{TokenType: limits.Total}) || models != nil {
		t.Errorf("%+v and %+v", whole, models)
	}
}
