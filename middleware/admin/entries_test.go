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

func TestEntriesAreSearched(t *testing.T) {
	s := newServer(t)
	s.Grant("default", 10*ledger.Credit)
	id := s.Call("GET", "/admin/v1/me", s.Member, "").Want(200).Text("id")
	for range 3 {
		s.Advance(time.Hour)
		s.Spend(s.Member, "tiny", ledger.Quantity{Duration: time.Second})
	}
	seqs := func(key, query string) string {
		var found []string
		got := s.Call("GET", "/admin/v1/entries?"+query, key, "").Want(200)
		for line := range strings.Lines(got.Body) {
			var entry struct{ Seq int }
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatal(err)
			}
			found = append(found, fmt.Sprint(entry.Seq))
		}
		return strings.Join(found, " ")
	}
	// 1 epoch, 2 account, 3 and 4 keys, 5 top-up, 6 to 8 calls at 11, 12 and 13 o'clock
	for query, want := range map[string]string{
		"kind=settle":                              "6 7 8",
		"kind=settle&limit=2":                      "6 7",
		"kind=settle&limit=2&after=7":              "8",
		"kind=topup,account":                       "2 5",
		"key=" + id:                                "4 6 7 8",
		"key=" + id + "&from=2026-11-20T12:00:00Z": "7 8",
		"from=2026-11-20T11:00:00Z&before=2026-11-20T13:00:00%2B00:00": "6 7",
		"before=2026-11-20":          "",
		"from=2026-11-20&kind=epoch": "1",
		"request_id=nobody":          "",
	} {
		if got := seqs(s.Admin, query); got != want {
			t.Errorf("%s: entries %s, want %s", query, got, want)
		}
	}
	for query, param := range map[string]string{"kind=nonsense": "kind", "from=yesterday": "from", "before=2026-13-01": "before", "limit=0": "limit"} {
		if got := s.Call("GET", "/admin/v1/entries?"+query, s.Admin, "").Want(400); got.Param() != param {
			t.Errorf("%s: %s", query, got.Body)
		}
	}
	acme := s.Mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	s.Call("GET", "/admin/v1/entries?key="+id, acme, "").Want(404)
	s.Call("GET", "/admin/v1/entries?key=nobody", s.Admin, "").Want(404)
}
