package clip

import (
	"strings"
	"testing"
)

func TestALongTextIsShortened(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"669a63646eb56306647e1091": "669a63646eb56306647e1091",
		strings.Repeat("x", 32):    strings.Repeat("x", 32),
		strings.Repeat("x", 33):    strings.Repeat("x", 12) + "...",
		"elevenbytesäöü" + strings.Repeat("x", 32): "elevenbytes...", // never half a letter
	} {
		if got := Text(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
