package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// spend runs a call through the ledger and charges it.
func (s *server) spend(text, model string, quantity ledger.Quantity) {
	s.t.Helper()
	key, err := s.ledger.Authenticate(text)
	if err != nil {
		s.t.Fatal(err)
	}
	hold, err := s.ledger.Hold(context.Background(), ledger.HoldRequest{
		KeyID: key.ID, Model: model, Worst: quantity, Deadline: s.clock().Add(time.Minute),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.ledger.Settle(context.Background(), hold.ID, ledger.Settlement{Quantity: quantity}); err != nil {
		s.t.Fatal(err)
	}
}

// grant puts credit on an account.
func (s *server) grant(account string, amount ledger.Micro) {
	s.t.Helper()
	if _, err := s.ledger.TopUp(context.Background(), account, amount, fmt.Sprint(account, amount)); err != nil {
		s.t.Fatal(err)
	}
}

func TestUsageIsToldByKeyModelAndDay(t *testing.T) {
	s := newServer(t)
	s.grant("default", 100*ledger.Credit)
	other := s.mint(ledger.NewKey{Name: "other", Owner: "acme"})
	s.grant("acme", 100*ledger.Credit)
	acme := s.mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	half := ledger.Quantity{InputTokens: 10, OutputTokens: 5, Duration: 30 * time.Second}
	s.spend(s.member, "tiny", half)
	s.spend(s.member, "tiny", half)
	s.spend(s.member, "large", half)
	s.advance(24 * time.Hour)
	s.spend(s.member, "tiny", half)
	s.spend(other, "tiny", half)

	mine := s.call("GET", "/admin/v1/me", s.member, "").want(200)
	if mine.text("spent") != "2.000000" {
		t.Errorf("the key has spent %s", mine.text("spent"))
	}
	if mine.number("requests") != 4 {
		t.Errorf("the key made %v calls", mine.number("requests"))
	}
	got := s.call("GET", "/admin/v1/me/usage", s.member, "").want(200)
	const wantRows = "large 2026-11-20 1 10 5 3e+07 0.500000 | tiny 2026-11-20 2 20 10 6e+07 1.000000 | tiny 2026-11-21 1 10 5 3e+07 0.500000 | "
	if rows := usageText(got); rows != wantRows {
		t.Errorf("usage is %s", rows)
	}
	if total := got.object("total"); total["requests"] != 4.0 || total["charged_micro"] != 2e6 {
		t.Errorf("the total is %v", total)
	}
	same := s.call("GET", "/admin/v1/keys/"+mine.text("id")+"/usage", s.admin, "").want(200)
	if same.body != got.body {
		t.Errorf("the admin sees %s, the member %s", same.body, got.body)
	}
	s.call("GET", "/admin/v1/keys/"+mine.text("id")+"/usage", acme, "").want(404)
	s.call("GET", "/admin/v1/keys/"+mine.text("id")+"/usage", s.member, "").want(403)

	for query, want := range map[string]string{
		"from=2026-11-21":           " 1 10 5",
		"to=2026-11-20&model=large": " 1 10 5",
		"from=2026-11-22":           " 0 0 0",
	} {
		total := s.call("GET", "/admin/v1/me/usage?"+query, s.member, "").want(200).object("total")
		if got := fmt.Sprint(" ", total["requests"], total["input_tokens"], total["output_tokens"]); strings.Join(strings.Fields(got), " ") != strings.TrimSpace(want) {
			t.Errorf("%s: %s", query, got)
		}
	}
	for query, rows := range map[string]int{"": 4, "by=owner": 2, "by=day": 2, "by=model": 2, "by=key,model": 3, "owner=acme": 1, "by=day&limit=1": 1} {
		got := s.call("GET", "/admin/v1/usage?"+query, s.admin, "").want(200)
		if len(got.list("usage")) != rows || (got.fields()["truncated"] == true) != (query == "by=day&limit=1") {
			t.Errorf("%s: %s", query, got.body)
		}
	}
	if got := s.call("GET", "/admin/v1/usage", acme, "").want(200); len(got.list("usage")) != 1 {
		t.Errorf("an owner's admin sees %s", got.body)
	}
	for query, param := range map[string]string{"from=yesterday": "from", "from=2026-11-21&to=2026-11-20": "to", "by=hour": "by", "limit=0": "limit", "x=1": "x"} {
		if got := s.call("GET", "/admin/v1/usage?"+query, s.admin, "").want(400); got.object("error")["param"] != param {
			t.Errorf("%s: %s", query, got.body)
		}
	}
}

func usageText(r reply) string {
	var text strings.Builder
	for _, row := range r.list("usage") {
		row := row.(map[string]any)
		fmt.Fprintln(&text, row["model"], row["day"], row["requests"], row["input_tokens"], row["output_tokens"], row["duration_us"], row["charged"], "|")
	}
	return strings.ReplaceAll(text.String(), "\n", " ")
}

func TestEntriesAreExportedInOrderAndAddUp(t *testing.T) {
	s := newServer(t)
	s.call("POST", "/admin/v1/accounts/default/topups", s.admin, `{"amount":10}`, "Idempotency-Key", "first").want(201)
	s.mint(ledger.NewKey{Name: "other", Owner: "acme"})
	for range 5 {
		s.spend(s.member, "tiny", ledger.Quantity{Duration: time.Minute})
	}
	lines := func(key, query string) (entries []map[string]any) {
		got := s.call("GET", "/admin/v1/entries?"+query, key, "").want(200)
		for scanner := bufio.NewScanner(strings.NewReader(got.body)); scanner.Scan(); {
			var entry map[string]any
			if err := json.Unmarshal(scanner.Bytes(), &entry); err != nil {
				t.Fatalf("%v: %s", err, scanner.Text())
			}
			entries = append(entries, entry)
		}
		return entries
	}
	all := lines(s.admin, "")
	balance := 0.0
	for i, entry := range all {
		if entry["seq"] != float64(i+1) {
			t.Fatalf("entry %d has sequence %v", i, entry["seq"])
		}
		if entry["account"] != "default" {
			continue
		}
		switch entry["kind"] {
		case "topup":
			balance += entry["amount_micro"].(float64)
		case "settle":
			balance -= entry["charged_micro"].(float64)
		}
	}
	account, _ := s.ledger.Account("default")
	if balance != 5e6 || account.Available != 5*ledger.Credit {
		t.Errorf("the entries add up to %v, the account has %s", balance, account.Available)
	}
	if rest := lines(s.admin, fmt.Sprintf("after=%d", len(all)-2)); len(rest) != 2 {
		t.Errorf("%d entries follow the last but two", len(rest))
	}
	if some := lines(s.admin, "limit=3"); len(some) != 3 {
		t.Errorf("%d entries, asked for 3", len(some))
	}
	acme := s.mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	for _, entry := range lines(acme, "") {
		if entry["account"] != "acme" {
			t.Errorf("an owner's admin sees %v", entry)
		}
	}
	for _, text := range []string{s.admin, s.member} {
		if body := s.call("GET", "/admin/v1/entries", s.admin, "").body; strings.Contains(body, text[16:40]) || strings.Contains(body, "sha256") {
			t.Error("the export holds key material")
		}
	}
	s.call("GET", "/admin/v1/entries", s.member, "").want(403)
	s.call("GET", "/admin/v1/entries?after=-1", s.admin, "").want(400)
}

func TestModelsAreListedWithTheirPrices(t *testing.T) {
	s := newServer(t, WithModels(Model{ID: "tiny", MaxOutputTokens: 512}, Model{ID: "large", Path: "acme/large/acme"}))
	if err := s.ledger.SetPrice(context.Background(), "large", ledger.Price{Input: 3 * ledger.Credit, Output: 9 * ledger.Credit}); err != nil {
		t.Fatal(err)
	}
	models := s.call("GET", "/admin/v1/models", s.member, "").want(200).list("models")
	if got := fmt.Sprint(models); got != "[map[id:tiny max_output_tokens:512 name:tiny price:map[cached_input:0.000000 input:0.000000 minute:1.000000 output:0.000000 request:0.000000]] "+
		"map[id:large max_output_tokens:0 name:large path:acme/large/acme price:map[cached_input:3.000000 input:3.000000 minute:0.000000 output:9.000000 request:0.000000]]]" {
		t.Error(got)
	}
	s.call("GET", "/admin/v1/models", "", "").want(401)
}
