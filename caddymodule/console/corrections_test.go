package console

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

func TestMistakesAreCorrected(t *testing.T) {
	s := newTerminal(t)
	s.must("accounts", "create", "acme", "--name", "Acme Ltd")
	s.must("accounts", "topup", "acme", "12.5", "--idempotency-key", "invoice 1")
	// The account goes by its name too, and the name of the top-up is free here.
	for i := range 2 {
		output := s.must("accounts", "adjust", "--reason", "paid twice", "--idempotency-key", "invoice 1", "--", "Acme Ltd", "-2.5")
		if !strings.Contains(output, "10.000000") || strings.Contains(s.told, "already been made") != (i == 1) {
			t.Errorf("an adjustment prints\n%s", output)
		}
	}
	if output := s.must("accounts", "freeze", "acme", "--reason", "overdue"); !strings.Contains(output, "true") {
		t.Errorf("freezing prints\n%s", output)
	}
	s.must("accounts", "unfreeze", "acme")
	s.must("accounts", "rename", "acme", "Acme Inc")
	if account := s.object("accounts", "show", "Acme Inc"); account.text("id") != "acme" || account.text("frozen") != "false" {
		t.Errorf("the account is %v", account)
	}
	s.must("keys", "create", "team", "--owner", "acme")
	if key := s.object("keys", "pause", "team"); key.text("state") != "paused" {
		t.Errorf("the key is %v", key)
	}
	if key := s.object("keys", "resume", "team"); key.text("state") != "active" {
		t.Errorf("the key is %v", key)
	}
	entries := s.must("entries", "--kind", "adjust,account")
	for _, word := range []string{"paid twice", "-2.500000", "overdue", "renamed"} {
		if !strings.Contains(entries, word) {
			t.Errorf("the entries lack %q:\n%s", word, entries)
		}
	}
	if lines := s.must("entries", "--key", "team", "--json"); strings.Count(lines, "\n") != 3 || !strings.Contains(lines, `"reference":"paused"`) {
		t.Errorf("the entries of the key are\n%s", lines)
	}
}

// Only who got no reply may have done something: a request that was refused is refused
// again.
func TestARefusedTopUpIsNotToBeRepeated(t *testing.T) {
	s := newTerminal(t)
	s.must("accounts", "create", "acme")
	for _, arguments := range [][]string{{"accounts", "topup", "acme", "1e9"}, {"accounts", "topup", "acme", "ten"}, {"accounts", "adjust", "acme", "1"}} {
		if _, err := s.run(arguments...); err == nil || strings.Contains(err.Error(), "retry") {
			t.Errorf("%v: %v", arguments, err)
		}
	}
}

func TestAKeyIsImportedByItsHash(t *testing.T) {
	s := newTerminal(t)
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("sk-from-elsewhere")))
	made := s.object("keys", "import", "old", "--owner", "acme", "--sha256", sum, "--rpm", "5", "--hint", "sk-fhere")
	if made.text("name") != "old" || made.text("hint") != "sk-fhere" || made.object("limits").text("rpm") != "5" {
		t.Errorf("imported %v", made)
	}
	if _, err := s.run("keys", "import", "again", "--sha256", sum); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("imported again: %v", err)
	}
}
