package console

import (
	"strings"
	"testing"
	"time"
)

func TestTheFirstAdminKeyManagesAllOwnersAndTheNextOneItsOwn(t *testing.T) {
	s := newTerminal(t)
	first := s.must("keys", "create", "--admin")
	if found := keyPattern.FindAllString(first, -1); len(found) != 1 || !strings.Contains(first, "shown only once") {
		t.Fatalf("the first admin key is printed as\n%s", first)
	}
	if next := s.object("keys", "create", "--admin", "second"); next["all_owners"] != false || next.text("name") != "second" {
		t.Errorf("the second admin key is %v", next)
	}
	if all := s.object("keys", "create", "--admin", "third", "--all-owners"); all["all_owners"] != true {
		t.Errorf("with --all-owners the key is %v", all)
	}
	list := s.must("keys", "list", "--role", "admin")
	if keyPattern.MatchString(list) || strings.Count(list, "\n") != 4 || !strings.HasPrefix(list, "ID") {
		t.Errorf("the list is\n%s", list)
	}
}

func TestAKeyLivesThroughAllCommands(t *testing.T) {
	s := newTerminal(t)
	made := s.object("keys", "create", "team a", "--owner", "acme", "--rpm", "60", "--max-in-flight", "4", "--token-type", "output",
		"--model", "tiny,large", "--model-limit", "org/tiny:7b:rpm=5,token_type=input", "--budget", "12.5", "--expires", "720h",
		"--permission", "inference", "--cidr", "10.0.0.0/8", "--metadata", "team=a")
	id := made.text("id")
	if got := limitsText(made.object("limits")); got != "rpm=60 max_in_flight=4 token_type=output" {
		t.Errorf("limits %s", got)
	}
	rows := made.list("model_limits")
	if len(rows) != 1 || rows[0].text("model") != "org/tiny:7b" || limitsText(rows[0]) != "rpm=5 token_type=input" {
		t.Errorf("model limits %v", rows)
	}
	if expires, err := time.Parse(time.RFC3339, made.text("expires_at")); err != nil || time.Until(expires) < 719*time.Hour {
		t.Errorf("expires %s", made.text("expires_at"))
	}
	if made.text("budget") != "12.500000" || made.text("models") != "tiny,large" || made.text("cidrs") != "10.0.0.0/8" || made.object("metadata").text("team") != "a" {
		t.Errorf("the key is %v", made)
	}

	changed := s.object("keys", "update", id, "--rpm", "0", "--no-budget", "--no-expiry", "--model", "", "--name", "team b")
	if changed["budget"] != nil || changed["expires_at"] != nil || changed.text("models") != "-" || changed.text("name") != "team b" ||
		limitsText(changed.object("limits")) != "max_in_flight=4 token_type=output" || changed.text("version") != "2" {
		t.Errorf("after the update the key is %v", changed)
	}
	if output, err := s.run("keys", "update", id, "--rpm", "1", "--version", "1"); err == nil || !strings.Contains(err.Error(), "version is 2") {
		t.Errorf("an old version: %v %s", err, output)
	}
	later := s.must("keys", "update", id, "--rpm", "7", "--next-window")
	if !strings.Contains(later, "until the next window") {
		t.Errorf("a change for later prints\n%s", later)
	}

	rotated := s.must("keys", "rotate", id, "--overlap", "1h")
	text := keyPattern.FindString(rotated)
	if text == "" || text == made.text("key") {
		t.Fatalf("rotation prints\n%s", rotated)
	}
	s.stdin = text + "\n"
	if found := s.object("keys", "lookup"); found.text("id") != id {
		t.Errorf("the lookup found %v", found)
	}
	if output := s.must("keys", "revoke", id); !strings.Contains(output, "revoked "+id) {
		t.Errorf("revoking prints %s", output)
	}
	if shown := s.must("keys", "show", id); !strings.Contains(shown, "revoked") || keyPattern.MatchString(shown) {
		t.Errorf("show prints\n%s", shown)
	}
	if _, err := s.run("keys", "update", id, "--rpm", "1"); err == nil {
		t.Error("a revoked key was changed")
	}
}

func TestAKeyIsCreatedOnceUnderAnIdempotencyKey(t *testing.T) {
	s := newTerminal(t)
	for _, create := range [][]string{
		{"keys", "create", "--admin", "--idempotency-key", "first"}, // for all owners only the first time
		{"keys", "create", "team", "--rpm", "5", "--idempotency-key", "k"},
	} {
		made := s.object(create...)
		again := s.object(create...)
		if made["replayed"] != false || again["replayed"] != true || again["key"] != nil || again.text("id") != made.text("id") {
			t.Errorf("%v: again %v", create, again)
		}
		if printed := s.must(create...); !strings.Contains(printed, "replayed") || strings.Contains(printed, "shown only once") {
			t.Errorf("%v: printed again is\n%s", create, printed)
		}
	}
	if _, err := s.run("keys", "create", "other", "--idempotency-key", "k"); err == nil || !strings.Contains(err.Error(), "another request") {
		t.Errorf("another key under the same name: %v", err)
	}
	if _, err := s.run("keys", "create", "b", "--expires", "1h", "--idempotency-key", "b"); err == nil || !strings.Contains(err.Error(), "give a time") {
		t.Errorf("an expiry that counts from now: %v", err)
	}
}
