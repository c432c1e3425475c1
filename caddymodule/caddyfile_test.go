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
