package admin

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstockhq/penstock/alerts"
	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

func TestAlertsSeeTheDayTheBudgetAndTheBalance(t *testing.T) {
	s := newServer(t)
	s.Grant("default", 10*ledger.Credit)
	text := s.Mint(ledger.NewKey{
		Name: "m", HasBudget: true, Budget: 5 * ledger.Credit,
		Limits: []limits.Row{{RPD: 4, TokenType: limits.Total}, {Model: "tiny", TPD: 100, TokenType: limits.Output}},
	})
	key, err := s.Ledger.Authenticate(text)
	if err != nil {
		t.Fatal(err)
	}
	monitor, err := alerts.New(NewLevels(s.Ledger, s.Limiter, nil), alerts.WithInterval(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	monitor.Observe(key.ID, "tiny")
	s.Serve(New(s.Ledger, s.Limiter, WithAlerts(monitor)))
	testkit.Eventually(t, "no alert is left", func() bool { return len(monitor.Recent(10)) == 0 })
	s.Run(&key, "tiny", limiter.Tokens{Input: 900, Output: 80})
	for range 3 {
		s.Run(&key, "large", limiter.Tokens{Input: 1, Output: 1})
	}
	s.Spend(text, "tiny", ledger.Quantity{Duration: 4 * time.Minute})
	monitor.Observe(key.ID, "tiny")
	monitor.Observe("unknown", "tiny")
	testkit.Eventually(t, "three alerts are shown", func() bool { return len(monitor.Recent(10)) == 3 })
	monitor.Close()
	got := s.Call("GET", "/admin/v1/alerts", s.Admin, "").Want(200)
	seen := map[string]bool{}
	for _, alert := range got.List("alerts") {
		alert := alert.(map[string]any)
		seen[fmt.Sprint(alert["kind"], alert["threshold_percent"], alert["used"], alert["limit"])] = true
	}
	if want := (map[string]bool{"requests_per_day100 4 4": true, "tokens_per_day80 80 100": true, "budget80 4e+06 5e+06": true}); fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("alerts are %v", seen)
	}
	if fmt.Sprint(got.List("thresholds_percent")) != "[80 100]" {
		t.Error(got.Body)
	}
	acme := s.Mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	if theirs := s.Call("GET", "/admin/v1/alerts", acme, "").Want(200); len(theirs.List("alerts")) != 0 {
		t.Errorf("another owner's admin sees %s", theirs.Body)
	}
}
