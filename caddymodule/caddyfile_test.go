package caddymodule

import "testing"

func TestATypoIsAnsweredWithTheWordThatWasMeant(t *testing.T) {
	known := []string{"ledger", "zone", "model", "default_limits"}
	for word, want := range map[string]string{
		"leger": "ledger", "ledgers": "ledger", "lodger": "ledger", "models": "model", "defult_limits": "default_limits",
		"price": "", "gpu": "", "": "", "on": "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestTheDistanceCountsLettersThatDiffer(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "axc", 1}, {"abc", "bc", 1}, {"kitten", "sitting", 3}} {
		if got := distance(test.from, test.to); got != test.want {
			t.Errorf("%q and %q: %d, want %d", test.from, test.to, got, test.want)
		}
	}
}
