package jsonscan

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"
)

func TestWholeNumbersAreReadHoweverTheyAreWritten(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "7": 7, "-7": -7, "9223372036854775807": math.MaxInt64, "-9223372036854775807": -math.MaxInt64,
		"65.0": 65, "65.000": 65, "6.5e1": 65, "6.5E+1": 65, "650e-1": 65, "6500.0e-2": 65, "1e9": 1_000_000_000,
		"0.0": 0, "-0": 0, "0e7": 0, "1.0": 1, "-1.0": -1, "100": 100, "1e3": 1000, "10.20e1": 102, "0.65e2": 65, "1e+00000000000003": 1000,
		"65.00000000000000000000000000000000000000000000": 65, "1000000000000000000000000000000e-27": 1000,
	} {
		if got, ok := ParseInteger([]byte(text)); !ok || got != want {
			t.Errorf("%s: %d %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"", "-", "01", "-01", "00", "1.", ".5", "1e", "1e+", "+1", "1..0", "1e1.0", "1e5e5", "0x10", "1_0", " 1", "NaN", "Infinity",
		"5.5", "1e-1", "65.5e0", "1e300", "0." + strings.Repeat("0", 1630) + "1e2000", "1e32769", "1e65536", "1e99999999999999999999", "1e-99999999999999999999", `"1"`, "null", "true",
		"9223372036854775808", "99999999999999999999999",
	} {
		if got, ok := ParseInteger([]byte(text)); ok {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

// FuzzNumber holds the reader against encoding/json and exact fractions.
func FuzzNumber(f *testing.F) {
	for _, text := range []string{"65.0", "6.5e1", "-0.0", "1e-3", "9223372036854775807", "01", "1.", "120e-1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := ParseInteger([]byte(text))
		var number json.Number
		if len(text) == 0 || text[0] == '"' || text == "null" || text[0] == ' ' || text[len(text)-1] <= ' ' || text[0] <= ' ' ||
			json.Unmarshal([]byte(text), &number) != nil {
			if ok {
				t.Fatalf("%q is taken for %d", text, got)
			}
			return
		}
		var exact big.Rat
		if at := strings.IndexAny(text, "eE"); len(text) > 60 || at >= 0 && len(text)-at > 4 {
			return // exact fractions with such exponents take too long
		}
		if _, fits := exact.SetString(text); !fits {
			t.Fatalf("%s is no fraction", text)
		}
		if ok && (!exact.IsInt() || exact.Num().Cmp(big.NewInt(got)) != 0) {
			t.Fatalf("%s is taken for %d", text, got)
		}
		if !ok && exact.IsInt() && exact.Num().IsInt64() && len(text) < 18 {
			t.Fatalf("%s is not taken for a whole number", text)
		}
	})
}

func TestTimesUp(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 50, "4.23": 212, "0.02": 1, "0.0200001": 2, "12.0": 600, "1e2": 5000, "1.5e-1": 8, "1e-300": 1, "30.000000": 1500,
		"-1": -1, "1e300": -1, "9223372036854775807": -1, "x": -1, "1.": -1, "4.230000019073486": 212,
	} {
		var number Number
		for _, c := range []byte(text) {
			number.Add(c)
		}
		got, ok := number.TimesUp(50)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}
