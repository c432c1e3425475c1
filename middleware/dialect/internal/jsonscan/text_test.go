package jsonscan

import (
	"math"
	"testing"
)

func TestParseIntegerTakesWholeNumbersOnly(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "7": 7, "-7": -7, "9223372036854775807": math.MaxInt64, "-9223372036854775807": -math.MaxInt64,
	} {
		if got, ok := ParseInteger([]byte(text)); !ok || got != want {
			t.Errorf("%s: %d %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "-", "01", "1.0", "1e3", `"1"`, "null", "9223372036854775808", "99999999999999999999999"} {
		if got, ok := ParseInteger([]byte(text)); ok {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

func TestNamesAndStringsAreReadAsParsersReadThem(t *testing.T) {
	if got := UnescapeName([]byte(`max_tok\u0065ns`)); got != "max_tokens" {
		t.Errorf("name %q", got)
	}
	if got := Unquote([]byte(`"a\n\u00fc"`)); got != "a\nü" {
		t.Errorf("text %q", got)
	}
	if got := Unquote([]byte(`"\x"`)); got != "" {
		t.Errorf("an invalid escape gives %q", got)
	}
	if got := Unquote(Quote("<a>\"\\\n")); got != "<a>\"\\\n" {
		t.Errorf("quoted and back: %q", got)
	}
	for name, want := range map[string]bool{"model": false, "Model": true, "mod\\u0065l": true, "\u212aey": true, "max_tokens": false} {
		if Unusual([]byte(name)) != want {
			t.Errorf("%q: unusual is not %v", name, want)
		}
	}
}
