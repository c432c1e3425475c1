package admin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestEntriesAreExportedInOrderAndAddUp(t *testing.T) {
	s := newServer(t)
	s.Call("POST", "/admin/v1/accounts/default/topups", s.Admin, `{"amount":10}`, "Idempotency-Key", "first").Want(201)
	s.Mint(ledger.NewKey{Name: "other", Owner: "acme"})
	for range 5 {
		s.Spend(s.Member, "tiny", ledger.Quantity{Duration: time.Minute})
	}
	lines := func(key, query string) (entries []map[string]any) {
		got := s.Call("GET", "/admin/v1/entries?"+query, key, "").Want(200)
		for scanner := bufio.NewScanner(strings.NewReader(got.Body)); scanner.Scan(); {
			var entry map[string]any
			if err := json.Unmarshal(scanner.Bytes(), &entry); err != nil {
				t.Fatalf("%v: %s", err, scanner.Text())
			}
			entries = append(entries, entry)
		}
		return entries
	}
	all := lines(s.Admin, "")
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
	account, _ := s.Ledger.Account("default")
	if balance != 5e6 || account.Available != 5*ledger.Credit {
		t.Errorf("the entries add up to %v, the account has %s", balance, account.Available)
	}
	if rest := lines(s.Admin, fmt.Sprintf("after=%d", len(all)-2)); len(rest) != 2 {
		t.Errorf("%d entries follow the last but two", len(rest))
	}
	if some := lines(s.Admin, "limit=3"); len(some) != 3 {
		t.Errorf("%d entries, asked for 3", len(some))
	}
	acme := s.Mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	for _, entry := range lines(acme, "") {
		if entry["account"] != "acme" {
			t.Errorf("an owner's admin sees %v", entry)
		}
	}
	for _, text := range []string{s.Admin, s.Member} {
		if body := s.Call("GET", "/admin/v1/entries", s.Admin, "").Body; strings.Contains(body, text[16:40]) || strings.Contains(body, "sha256") {
			t.Error("the export holds key material")
		}
	}
	s.Call("GET", "/admin/v1/entries", s.Member, "").Want(403)
	s.Call("GET", "/admin/v1/entries?after=-1", s.Admin, "").Want(400)
}
