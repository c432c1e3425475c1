package jsonscan

import "testing"

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
