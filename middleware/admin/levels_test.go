package admin

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstockhq/penstock/alerts"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
)

func TestAlertsSeeTheDayTheBudgetAndTheBalance(t *testing.T) {
	s := newServer(t)
	s.grant("default", 10*ledger.Credit)
	text := s.mint(ledger.NewKey{
		Name: "m", HasBudget: true, Budget: 5 * ledger.Credit,
		Limits: []ledger.Limits{{RPD: 4, TokenType: "total"}, {Model: "tiny", TPD: 100, TokenType: "output"}},
	})
	key, err := s.ledger.Authenticate(text)
	if err != nil {
		t.Fatal(err)
	}
	monitor, err := alerts.New(NewLevels(s.ledger, s.limiter, nil), alerts.WithInterval(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	monitor.Observe(key.ID, "tiny")
	s.handler.alerts = monitor
	s.handler.routes = s.handler.table()
	s.handler.document = s.handler.describe()
	waitFor(t, func() bool { return len(monitor.Recent(10)) == 0 })
	s.run(&key, "tiny", limiter.Tokens{Input: 900, Output: 80})
	for range 3 {
		s.run(&key, "large", limiter.Tokens{Input: 1, Output: 1})
	}
	s.spend(text, "tiny", ledger.Quantity{Duration: 4 * time.Minute})
	monitor.Observe(key.ID, "tiny")
	monitor.Observe("unknown", "tiny")
	waitFor(t, func() bool { return len(monitor.Recent(10)) == 3 })
	monitor.Close()
	got := s.call("GET", "/admin/v1/alerts", s.admin, "").want(200)
	seen := map[string]bool{}
	for _, alert := range got.list("alerts") {
		alert := alert.(map[string]any)
		seen[fmt.Sprint(alert["kind"], alert["threshold_percent"], alert["used"], alert["limit"])] = true
	}
	if want := (map[string]bool{"requests_per_day100 4 4": true, "tokens_per_day80 80 100": true, "budget80 4e+06 5e+06": true}); fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("alerts are %v", seen)
	}
	if fmt.Sprint(got.list("thresholds_percent")) != "[80 100]" {
		t.Error(got.body)
	}
	acme := s.mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	if theirs := s.call("GET", "/admin/v1/alerts", acme, "").want(200); len(theirs.list("alerts")) != 0 {
		t.Errorf("another owner's admin sees %s", theirs.body)
	}
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}
