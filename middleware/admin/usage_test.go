package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/admintest"
)

func TestUsageIsToldByKeyModelAndDay(t *testing.T) {
	s := newServer(t)
	s.Grant("default", 100*ledger.Credit)
	other := s.Mint(ledger.NewKey{Name: "other", Owner: "acme"})
	s.Grant("acme", 100*ledger.Credit)
	acme := s.Mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	half := ledger.Quantity{InputTokens: 10, OutputTokens: 5, Duration: 30 * time.Second}
	s.Spend(s.Member, "tiny", half)
	s.Spend(s.Member, "tiny", half)
	s.Spend(s.Member, "large", half)
	s.Advance(24 * time.Hour)
	s.Spend(s.Member, "tiny", half)
	s.Spend(other, "tiny", half)

	mine := s.Call("GET", "/admin/v1/me", s.Member, "").Want(200)
	if mine.Text("spent") != "2.000000" {
		t.Errorf("the key has spent %s", mine.Text("spent"))
	}
	if mine.Number("requests") != 4 {
		t.Errorf("the key made %v calls", mine.Number("requests"))
	}
	got := s.Call("GET", "/admin/v1/me/usage", s.Member, "").Want(200)
	const wantRows = "large 2026-11-20 1 10 5 3e+07 0.500000 | tiny 2026-11-20 2 20 10 6e+07 1.000000 | tiny 2026-11-21 1 10 5 3e+07 0.500000 | "
	if rows := usageText(got); rows != wantRows {
		t.Errorf("usage is %s", rows)
	}
	if total := got.Object("total"); total["requests"] != 4.0 || total["charged_micro"] != 2e6 {
		t.Errorf("the total is %v", total)
	}
	same := s.Call("GET", "/admin/v1/keys/"+mine.Text("id")+"/usage", s.Admin, "").Want(200)
	if same.Body != got.Body {
		t.Errorf("the admin sees %s, the member %s", same.Body, got.Body)
	}
	s.Call("GET", "/admin/v1/keys/"+mine.Text("id")+"/usage", acme, "").Want(404)
	s.Call("GET", "/admin/v1/keys/"+mine.Text("id")+"/usage", s.Member, "").Want(403)

	for query, want := range map[string]string{
		"from=2026-11-21":           " 1 10 5",
		"to=2026-11-20&model=large": " 1 10 5",
		"from=2026-11-22":           " 0 0 0",
	} {
		total := s.Call("GET", "/admin/v1/me/usage?"+query, s.Member, "").Want(200).Object("total")
		if got := fmt.Sprint(" ", total["requests"], total["input_tokens"], total["output_tokens"]); strings.Join(strings.Fields(got), " ") != strings.TrimSpace(want) {
			t.Errorf("%s: %s", query, got)
		}
	}
	for query, rows := range map[string]int{"": 4, "by=owner": 2, "by=day": 2, "by=model": 2, "by=key,model": 3, "owner=acme": 1, "by=day&limit=1": 1} {
		got := s.Call("GET", "/admin/v1/usage?"+query, s.Admin, "").Want(200)
		if len(got.List("usage")) != rows || (got.Fields()["truncated"] == true) != (query == "by=day&limit=1") {
			t.Errorf("%s: %s", query, got.Body)
		}
	}
	if got := s.Call("GET", "/admin/v1/usage", acme, "").Want(200); len(got.List("usage")) != 1 {
		t.Errorf("an owner's admin sees %s", got.Body)
	}
	for query, param := range map[string]string{"from=yesterday": "from", "from=2026-11-21&to=2026-11-20": "to", "by=hour": "by", "limit=0": "limit", "x=1": "x"} {
		if got := s.Call("GET", "/admin/v1/usage?"+query, s.Admin, "").Want(400); got.Param() != param {
			t.Errorf("%s: %s", query, got.Body)
		}
	}
}

func usageText(r admintest.Reply) string {
	var text strings.Builder
	for _, row := range r.List("usage") {
		row := row.(map[string]any)
		fmt.Fprintln(&text, row["model"], row["day"], row["requests"], row["input_tokens"], row["output_tokens"], row["duration_us"], row["charged"], "|")
	}
	return strings.ReplaceAll(text.String(), "\n", " ")
}

func TestUsageTellsWhatWasWrittenOff(t *testing.T) {
	s := newServer(t)
	s.Grant("default", ledger.Credit)
	key, err := s.Ledger.Authenticate(s.Member)
	if err != nil {
		t.Fatal(err)
	}
	hold, err := s.Ledger.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: "tiny", Worst: ledger.Quantity{Duration: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ledger.Settle(t.Context(), hold.ID, ledger.Settlement{Quantity: ledger.Quantity{Duration: 3 * time.Minute}}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/admin/v1/usage", "/admin/v1/usage?by=owner", "/admin/v1/keys/" + key.ID + "/usage"} {
		got := s.Call("GET", path, s.Admin, "").Want(200)
		for _, row := range []map[string]any{got.Object("total"), got.List("usage")[0].(map[string]any)} {
			if row["charged_micro"] != 1e6 || row["written_off"] != "2.000000" || row["written_off_micro"] != 2e6 {
				t.Errorf("%s: %v", path, row)
			}
		}
	}
}
