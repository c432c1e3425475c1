package limits

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"
)

func TestARowIsReadBackFromItsJSON(t *testing.T) {
	row := Row{Model: "tiny", RPM: 1, TPM: 2, RPD: 3, TPD: 4, MaxInFlight: 5, TokenType: Output}
	text, err := json.Marshal(row)
	if want := `{"model":"tiny","rpm":1,"tpm":2,"rpd":3,"tpd":4,"max_in_flight":5,"token_type":"output"}`; err != nil || string(text) != want {
		t.Fatalf("%s, %v, want %s", text, err, want)
	}
	var back Row
	if err := json.Unmarshal(text, &back); err != nil || back != row {
		t.Errorf("%+v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"token_type":"word"}`), &back); err == nil {
		t.Error("a token type that does not exist is read")
	}
}

func TestEveryRuleHasANameAndAField(t *testing.T) {
	var row Row
	for i, rule := range Rules() {
		*row.Value(rule) = int64(i) + 1
		if parsed, ok := ParseRule(rule.String()); !ok || parsed != rule || Names()[i] != rule.String() {
			t.Errorf("%v is read as %v", rule, parsed)
		}
	}
	if want := (Row{RPM: 1, TPM: 2, RPD: 3, TPD: 4, MaxInFlight: 5}); row != want {
		t.Errorf("the rules set %+v", row)
	}
	for _, name := range []string{"", "none", "RPM", "token_type"} {
		if rule, ok := ParseRule(name); ok {
			t.Errorf("%q is the rule %v", name, rule)
		}
	}
}

func TestValuesThatNoLimitMayHaveAreNamed(t *testing.T) {
	for field, row := range map[string]Row{
		"rpm": {RPM: -1}, "tpm": {TPM: math.MinInt64}, "rpd": {RPD: Max + 1}, "tpd": {TPD: math.MaxInt64},
		"max_in_flight": {MaxInFlight: -1}, "token_type": {TokenType: 3},
	} {
		var wrong *ValueError
		if err := row.Check(); !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := (&Row{RPM: Max, TPD: 1, TokenType: Input}).Check(); err != nil {
		t.Error(err)
	}
}

func TestARowMayNotBeThereTwice(t *testing.T) {
	rows := []Row{{RPM: 1}, {RPM: 1, TokenType: Input}, {Model: "m", RPM: 1}}
	if at, err := CheckRows(rows); at != -1 || err != nil {
		t.Errorf("%d, %v", at, err)
	}
	if at, err := CheckRows(append(slices.Clone(rows), Row{TokenType: Input})); at != 3 || err == nil {
		t.Errorf("%d, %v", at, err)
	}
}
