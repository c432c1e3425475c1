package admin

import (
	"crypto/sha256"
	"fmt"
	"testing"
)

func sha256Of(text string) [32]byte { return sha256.Sum256([]byte(text)) }

func TestAnAccountIsMadeAndToppedUpOnce(t *testing.T) {
	s := newServer(t)
	s.call("POST", "/admin/v1/accounts", s.admin, `{"id":"acme","name":"Acme Ltd"}`).want(201)
	if got := s.call("POST", "/admin/v1/accounts", s.admin, `{"id":"acme"}`).want(409); got.errorCode() != "exists" {
		t.Error(got.body)
	}
	const path = "/admin/v1/accounts/acme/topups"
	first := s.call("POST", path, s.admin, `{"amount":"12.5"}`, "Idempotency-Key", "one").want(201)
	if first.object("account")["available"] != "12.500000" || first.object("account")["available_micro"] != 12.5e6 || first.number("seq") == 0 {
		t.Error(first.body)
	}
	again := s.call("POST", path, s.admin, `{"amount":"12.500000"}`, "Idempotency-Key", "one").want(200)
	if again.fields()["replayed"] != true || again.number("seq") != first.number("seq") || again.object("account")["available_micro"] != 12.5e6 {
		t.Error(again.body)
	}
	s.call("POST", path, s.admin, `{"amount":13}`, "Idempotency-Key", "one").want(422)
	s.call("POST", path, s.admin, `{"amount":3}`, "Idempotency-Key", "two").want(201)
	if got := s.call("GET", "/admin/v1/accounts/acme", s.admin, "").want(200); got.text("available") != "15.500000" || got.text("name") != "Acme Ltd" {
		t.Error(got.body)
	}
	if got := s.call("GET", "/admin/v1/accounts", s.admin, "").want(200).list("accounts"); len(got) != 2 {
		t.Errorf("%d accounts", len(got))
	}
	s.call("POST", "/admin/v1/accounts/nobody/topups", s.admin, `{"amount":3}`, "Idempotency-Key", "three").want(404)
}

func TestATopUpNamesTheFieldThatIsWrong(t *testing.T) {
	s := newServer(t)
	const path = "/admin/v1/accounts/default/topups"
	for body, param := range map[string]string{
		`{}`: "amount", `{"amount":0}`: "amount", `{"amount":"-1"}`: "amount", `{"amount":1.5}`: "amount", `{"amount":null}`: "amount",
		`{"amount":"0.0000001"}`: "amount", `{"amount":9007199255}`: "amount", `{"amount":1,"note":"x"}`: "note",
	} {
		got := s.call("POST", path, s.admin, body, "Idempotency-Key", "k").want(400)
		if got.object("error")["param"] != param {
			t.Errorf("%s: %s", body, got.body)
		}
	}
	if got := s.call("POST", path, s.admin, `{"amount":1}`).want(400); got.object("error")["param"] != "Idempotency-Key" {
		t.Error(got.body)
	}
	if account, _ := s.ledger.Account("default"); account.Available != 0 {
		t.Errorf("refused top-ups added %s", account.Available)
	}
}

func TestAccountsAreListedInPages(t *testing.T) {
	s := newServer(t)
	for i := range 4 {
		s.call("POST", "/admin/v1/accounts", s.admin, fmt.Sprintf(`{"id":"a%d"}`, i)).want(201)
	}
	page := s.call("GET", "/admin/v1/accounts?limit=2", s.admin, "").want(200)
	rest := s.call("GET", "/admin/v1/accounts?limit=10&after="+page.text("next"), s.admin, "").want(200)
	if len(page.list("accounts")) != 2 || len(rest.list("accounts")) != 3 || rest.text("next") != "" {
		t.Errorf("%s then %s", page.body, rest.body)
	}
	if got := s.call("GET", "/admin/v1/accounts?after=nobody", s.admin, "").want(400); got.object("error")["param"] != "after" {
		t.Error(got.body)
	}
}
