package edits

import "testing"

func TestTheDistanceCountsLettersThatDiffer(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "axc", 1}, {"abc", "bc", 1}, {"kitten", "sitting", 3}} {
		if got := Distance(test.from, test.to); got != test.want {
			t.Errorf("%q and %q: %d, want %d", test.from, test.to, got, test.want)
		}
	}
}
