package engine

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// FuzzTextIsTheSameHoweverItIsCut compares text assembled from pieces with the
// same bytes converted at once.
func FuzzTextIsTheSameHoweverItIsCut(f *testing.F) {
	f.Add([]byte("plain text"), byte(3), "tex")
	f.Add([]byte("Grüße aus Köln, 東京 🚰"), byte(1), "京")
	f.Add([]byte("\xff\xfe broken \xe6\x9d"), byte(2), "")
	f.Add([]byte("aaab"), byte(1), "aab")
	f.Fuzz(func(t *testing.T, raw []byte, cut byte, stop string) {
		size := int(cut)%7 + 1
		a := textAssembler{}
		want := string([]rune(string(raw)))
		if stop != "" && utf8.ValidString(stop) {
			a.stops = []string{stop}
		}
		var got strings.Builder
		stopped := false
		for from := 0; from < len(raw) && !stopped; from += size {
			var text string
			text, stopped = a.push(raw[from:min(from+size, len(raw))])
			if !utf8.ValidString(text) {
				t.Fatalf("half a character left: %q", text)
			}
			got.WriteString(text)
		}
		if !stopped {
			got.WriteString(a.flush())
		}
		// A truncated character at the end is one replacement here and one a byte there.
		clean := strings.TrimRight(want, "\uFFFD")
		result := strings.TrimRight(got.String(), "\uFFFD")
		if len(a.stops) == 0 {
			if result != clean {
				t.Fatalf("%q became %q", raw, got.String())
			}
			return
		}
		before, _, found := strings.Cut(want, stop)
		if found && !strings.Contains(stop, "\uFFFD") && (!stopped || got.String() != before) {
			t.Fatalf("%q with stop %q became %q (stopped: %v)", raw, stop, got.String(), stopped)
		}
		if !found && stopped && !strings.Contains(stop, "\uFFFD") {
			t.Fatalf("%q stopped at %q", raw, stop)
		}
	})
}

func TestStopTextsNeverLeaveInPart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[abc]{0,40}`).Draw(t, "text")
		stops := rapid.SliceOfN(rapid.StringMatching(`[abc]{1,4}`), 1, 3).Draw(t, "stops")
		found := false
		for _, stop := range stops {
			found = found || strings.Contains(text, stop)
		}
		a, got, stopped := textAssembler{stops: stops}, "", false
		size := rapid.IntRange(1, 6).Draw(t, "size")
		for from := 0; from < len(text) && !stopped; from += size {
			var piece string
			piece, stopped = a.push([]byte(text[from:min(from+size, len(text))]))
			got += piece
			if !strings.HasPrefix(text, got) {
				t.Fatalf("%q is no beginning of %q", got, text)
			}
		}
		if !stopped {
			got += a.flush()
		}
		if stopped != found || !stopped && got != text {
			t.Fatalf("%q with stops %q became %q, stopped %v", text, stops, got, stopped)
		}
		for _, stop := range stops {
			if strings.Contains(got, stop) {
				t.Fatalf("%q holds the stop text %q", got, stop)
			}
		}
	})
}
