package admin

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
)

func TestAnAccountIsMadeAndToppedUpOnce(t *testing.T) {
	s := newServer(t)
	s.Call("POST", "/admin/v1/accounts", s.Admin, `{"id":"acme","name":"Acme Ltd"}`).Want(201)
	if got := s.Call("POST", "/admin/v1/accounts", s.Admin, `{"id":"acme"}`).Want(409); got.ErrorCode() != "exists" {
		t.Error(got.Body)
	}
	const path = "/admin/v1/accounts/acme/topups"
	first := s.Call("POST", path, s.Admin, `{"amount":"12.5"}`, "Idempotency-Key", "one").Want(201)
	if first.Object("account")["available"] != "12.500000" || first.Object("account")["available_micro"] != 12.5e6 || first.Number("seq") == 0 {
		t.Error(first.Body)
	}
	again := s.Call("POST", path, s.Admin, `{"amount":"12.500000"}`, "Idempotency-Key", "one").Want(200)
	if again.Fields()["replayed"] != true || again.Number("seq") != first.Number("seq") || again.Object("account")["available_micro"] != 12.5e6 {
		t.Error(again.Body)
	}
	s.Call("POST", path, s.Admin, `{"amount":13}`, "Idempotency-Key", "one").Want(422)
	s.Call("POST", path, s.Admin, `{"amount":3}`, "Idempotency-Key", "two").Want(201)
	if got := s.Call("GET", "/admin/v1/accounts/acme", s.Admin, "").Want(200); got.Text("available") != "15.500000" || got.Text("name") != "Acme Ltd" {
		t.Error(got.Body)
	}
	if got := s.Call("GET", "/admin/v1/accounts", s.Admin, "").Want(200).List("accounts"); len(got) != 2 {
		t.Errorf("%d accounts", len(got))
	}
	s.Call("POST", "/admin/v1/accounts/nobody/topups", s.Admin, `{"amount":3}`, "Idempotency-Key", "three").Want(404)
}

func TestATopUpNamesTheFieldThatIsWrong(t *testing.T) {
	s := newServer(t)
	const path = "/admin/v1/accounts/default/topups"
	for body, param := range map[string]string{
		`{}`: "amount", `{"amount":0}`: "amount", `{"amount":"-1"}`: "amount", `{"amount":1.5}`: "amount", `{"amount":null}`: "amount",
		`{"amount":"0.0000001"}`: "amount", `{"amount":9007199255}`: "amount", `{"amount":1,"note":"x"}`: "note",
	} {
		got := s.Call("POST", path, s.Admin, body, "Idempotency-Key", "k").Want(400)
		if got.Param() != param {
			t.Errorf("%s: %s", body, got.Body)
		}
	}
	if got := s.Call("POST", path, s.Admin, `{"amount":1}`).Want(400); got.Param() != "Idempotency-Key" {
		t.Error(got.Body)
	}
	if account, _ := s.Ledger.Account("default"); account.Available != 0 {
		t.Errorf("refused top-ups added %s", account.Available)
	}
}

func TestAccountsAreListedInPages(t *testing.T) {
	s := newServer(t)
	for i := range 4 {
		s.Call("POST", "/admin/v1/accounts", s.Admin, fmt.Sprintf(`{"id":"a%d"}`, i)).Want(201)
	}
	page := s.Call("GET", "/admin/v1/accounts?limit=2", s.Admin, "").Want(200)
	last := s.Call("GET", "/admin/v1/accounts?limit=10&after="+page.Text("next"), s.Admin, "").Want(200)
	if len(page.List("accounts")) != 2 || len(last.List("accounts")) != 3 || last.Text("next") != "" {
		t.Errorf("%s then %s", page.Body, last.Body)
	}
	if got := s.Call("GET", "/admin/v1/accounts?after=nobody", s.Admin, "").Want(400); got.Param() != "after" {
		t.Error(got.Body)
	}
}

func TestATopUpIsTakenBackByAnAdjustmentWithAReason(t *testing.T) {
	s := newServer(t)
	s.Call("POST", "/admin/v1/accounts/default/topups", s.Admin, `{"amount":"12.5"}`, "Idempotency-Key", "invoice 17").Want(201)
	const path, body = "/admin/v1/accounts/default/adjustments", `{"amount":"-12.25","reason":"invoice 17 was paid twice"}`
	// The key of the top-up is free here.
	first := s.Call("POST", path, s.Admin, body, "Idempotency-Key", "invoice 17").Want(201)
	if first.Object("account")["available"] != "0.250000" || first.Text("amount") != "-12.250000" || first.Fields()["replayed"] != false {
		t.Error(first.Body)
	}
	again := s.Call("POST", path, s.Admin, body, "Idempotency-Key", "invoice 17").Want(200)
	if again.Fields()["replayed"] != true || again.Number("seq") != first.Number("seq") || again.Object("account")["available"] != "0.250000" {
		t.Error(again.Body)
	}
	s.Call("POST", path, s.Admin, `{"amount":1,"reason":"goodwill"}`, "Idempotency-Key", "up").Want(201)
	s.Call("POST", path, s.Admin, `{"amount":2,"reason":"goodwill"}`, "Idempotency-Key", "up").Want(422)
	for body, param := range map[string]string{
		`{"amount":-1}`: "reason", `{"reason":"r"}`: "amount", `{"amount":0,"reason":"r"}`: "amount", `{"amount":-1.5,"reason":"r"}`: "amount",
		`{"amount":"-2","reason":"more than there is"}`: "amount", `{"amount":1,"reason":""}`: "reason",
	} {
		if got := s.Call("POST", path, s.Admin, body, "Idempotency-Key", "k").Want(400); got.Param() != param {
			t.Errorf("%s: %s", body, got.Body)
		}
	}
	if got := s.Call("POST", path, s.Admin, `{"amount":1,"reason":"r"}`).Want(400); got.Param() != "Idempotency-Key" {
		t.Error(got.Body)
	}
	s.Call("POST", "/admin/v1/accounts/nobody/adjustments", s.Admin, `{"amount":3,"reason":"r"}`, "Idempotency-Key", "k").Want(404)
	if got := s.Call("GET", "/admin/v1/entries?kind=adjust", s.Admin, "").Want(200); !strings.Contains(got.Body, `"reason":"invoice 17 was paid twice"`) {
		t.Error(got.Body)
	}
}

func TestAnAccountIsRenamedFrozenAndUnfrozen(t *testing.T) {
	s := newServer(t)
	const path = "/admin/v1/accounts/default"
	got := s.Call("PATCH", path, s.Admin, `{"name":"Default Ltd","frozen":true,"reason":"overdue"}`).Want(200)
	if got.Text("name") != "Default Ltd" || got.Fields()["frozen"] != true {
		t.Error(got.Body)
	}
	s.Call("GET", "/admin/v1/me", s.Member, "").Want(200) // its keys still see themselves
	if got = s.Call("PATCH", path, s.Admin, `{"frozen":false}`).Want(200); got.Text("name") != "Default Ltd" || got.Fields()["frozen"] != false {
		t.Error(got.Body)
	}
	acme := s.Mint(ledger.NewKey{Name: "admin", Role: ledger.RoleAdmin})
	s.Call("PATCH", path, acme, `{"frozen":true}`).Want(403)
	s.Call("PATCH", "/admin/v1/accounts/nobody", s.Admin, `{"frozen":true}`).Want(404)
	s.Call("PATCH", path, s.Admin, `{"frozen":"yes"}`).Want(400)
}
