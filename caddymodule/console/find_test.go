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
