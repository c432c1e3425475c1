package rest

import (
	"testing"

	"github.com/penstockhq/penstock/ledger"
)

func TestANumberOfCreditsIsReadAsPythonWritesIt(t *testing.T) {
	for text, want := range map[string]ledger.Micro{
		"1000": 1000 * ledger.Credit, "12.5": 12_500_000, "0.1": 100_000, "1e-05": 10, "0.30000000000000004": 300_000,
		"1e3": 1000 * ledger.Credit, "0": 0, "4.9e-07": 0, "1E+2": 100 * ledger.Credit,
	} {
		f, err := ParseFields([]byte(`{"budget":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		got, present := f.NumberAmount("budget")
		if f.Err() != nil || !present || got != want {
			t.Errorf("%s: %d, %v, %v", text, got, present, f.Err())
		}
	}
	for _, text := range []string{"-1", `"12"`, "1e999999999", "1e400", "9007199255", "true", "[]", "{}"} {
		f, err := ParseFields([]byte(`{"budget":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := f.NumberAmount("budget"); f.Err() == nil {
			t.Errorf("%s: read as %d", text, got)
		}
	}
}

func TestAnAmountKeepsItsValueAsANumber(t *testing.T) {
	for amount, want := range map[ledger.Micro]string{0: "0", 1: "0.000001", 12_500_000: "12.5", 10 * ledger.Credit: "10", ledger.MaxMicro: "9007199254.740991"} {
		if got := AmountNumber(amount).String(); got != want {
			t.Errorf("%d: %s, want %s", amount, got, want)
		}
	}
}
