package console

import (
	"strings"
	"testing"
)

func TestKeysAndAccountsGoByTheirNames(t *testing.T) {
	s := newTerminal(t)
	id := s.object("keys", "create", "frontend", "--owner", "acme").text("id")
	s.must("keys", "create", "twin")
	s.must("keys", "create", "twin")
	for _, named := range []string{id, "frontend"} {
		if key := s.object("keys", "show", named); key.text("id") != id {
			t.Errorf("%s is %v", named, key)
		}
	}
	if key := s.object("keys", "update", "frontend", "--rpm", "7"); key.object("limits").text("rpm") != "7" {
		t.Errorf("updated %v", key)
	}
	s.must("keys", "rotate", "frontend", "--end-previous")
	for named, want := range map[string]string{
		"twin": "2 keys have this name", "frontned": "did you mean frontend?", id[:9]: "did you mean " + id, "nobody at all": "no key has this id or name",
	} {
		if _, err := s.run("keys", "show", named); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", named, err, want)
		}
	}
	if _, err := s.run("accounts", "show", "acmee"); err == nil || !strings.Contains(err.Error(), "did you mean acme?") {
		t.Error(err)
	}
	// What was typed may be the text of a key.
	text := s.object("keys", "create", "secret").text("key")
	if output, err := s.run("keys", "show", text); err == nil || strings.Contains(err.Error()+output, text[16:40]) {
		t.Errorf("a key's text is shown: %v", err)
	}
	s.must("keys", "revoke", "frontend")
	if _, err := s.run("keys", "rotate", "frontend"); err == nil {
		t.Error("a revoked key goes by its name")
	}
}

func TestFiltersAndOwnersGoByNames(t *testing.T) {
	s := newTerminal(t)
	s.must("accounts", "create", "acme", "--name", "Acme Ltd")
	key := s.object("keys", "create", "team", "--owner", "Acme Ltd")
	sum := strings.Repeat("ab", 32)
	imported := s.object("keys", "import", "old", "--owner", "Acme Ltd", "--sha256", sum)
	if key.text("owner") != "acme" || imported.text("owner") != "acme" {
		t.Errorf("the owners are %s and %s", key.text("owner"), imported.text("owner"))
	}
	if made := s.object("keys", "create", "other", "--owner", "acmee"); made.text("owner") != "acmee" {
		t.Errorf("an account that does not exist is made as %s", made.text("owner"))
	}
	if list := s.must("keys", "list", "--owner", "Acme Ltd"); !strings.Contains(list, "team") || strings.Contains(list, "other") {
		t.Errorf("the keys of an account are\n%s", list)
	}
	if lines := s.must("entries", "--account", "Acme Ltd"); !strings.Contains(lines, key.text("id")) {
		t.Errorf("the entries of an account are\n%s", lines)
	}
	s.must("usage", "--key", "team", "--owner", "Acme Ltd")
	for _, arguments := range [][]string{
		{"usage", "--key", "taem"},
		{"usage", "--owner", "acmme"},
		{"keys", "list", "--owner", "acmme"},
		{"entries", "--account", "acmme"},
		{"alerts", "--owner", "acmme"},
	} {
		if _, err := s.run(arguments...); err == nil || !strings.Contains(err.Error(), "did you mean") {
			t.Errorf("%v: %v", arguments, err)
		}
	}
}

func TestAWordThatIsNoCommandIsCompared(t *testing.T) {
	s := newTerminal(t)
	for want, arguments := range map[string][]string{
		"did you mean keys?":   {"kyes"},
		"did you mean topup?":  {"accounts", "topu", "x"},
		"did you mean revoke?": {"keys", "revok"},
	} {
		if _, err := s.run(arguments...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", arguments, err, want)
		}
	}
	if _, err := s.run("xyzzy"); err == nil || strings.Contains(err.Error(), "mean") {
		t.Error(err)
	}
}
