package admin

import (
	"context"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware"
)

func rowsFor(key *ledger.Key, model string) []limiter.Row { return middleware.LimitRows(key, model) }

func TestExplainTellsWhichLimitRefusesAndWhoHoldsWhat(t *testing.T) {
	s := newServer(t, WithModels(Model{ID: "tiny"}, Model{ID: "large"}))
	s.grant("default", 10*ledger.Credit)
	text := s.mint(ledger.NewKey{
		Name: "m", Models: []string{"tiny"}, HasBudget: true, Budget: 2 * ledger.Credit,
		Limits: []ledger.Limits{{TPM: 100, MaxInFlight: 5, TokenType: "total"}, {Model: "tiny", RPM: 3, TokenType: "total"}},
	})
	key, err := s.ledger.Authenticate(text)
	if err != nil {
		t.Fatal(err)
	}
	s.run(&key, "tiny", limiter.Tokens{Input: 30, Output: 10})
	running, err := s.limiter.Reserve(context.Background(), limiter.Request{
		Key: key.ID, Model: "tiny", Tokens: limiter.Tokens{Input: 20, Output: 20}, Rows: rowsFor(&key, "tiny"), Timeout: time.Minute,
	})
	if err != nil || !running.Admitted {
		t.Fatalf("%+v %v", running, err)
	}
	if _, err := s.ledger.Hold(context.Background(), ledger.HoldRequest{KeyID: key.ID, Model: "tiny", Worst: ledger.Quantity{Duration: time.Minute}, Deadline: s.clock().Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}

	fits := s.call("GET", "/admin/v1/explain?model=tiny&input_tokens=10&output_tokens=10", text, "").want(200)
	if fits.fields()["admitted"] != true || fits.fields()["refusal"] != nil || fits.fields()["model_allowed"] != true ||
		fits.text("budget_left") != "1.000000" || fits.text("held") != "1.000000" || fits.object("account")["available"] != "9.000000" {
		t.Error(fits.body)
	}
	got := s.call("GET", "/admin/v1/explain?key="+key.ID+"&model=tiny&input_tokens=11&output_tokens=10", s.admin, "").want(200)
	refusal := got.object("refusal")
	if got.fields()["admitted"] != false || refusal["rule"] != "tpm" || refusal["used"] != 80.0 || refusal["needed"] != 21.0 || refusal["limit"] != 100.0 {
		t.Error(got.body)
	}
	if wait := refusal["retry_after_ms"].(float64); wait <= 0 || wait > 60_000 {
		t.Errorf("wait %v ms", wait)
	}
	scopes := got.list("scopes")
	whole, model := scopes[0].(map[string]any), scopes[1].(map[string]any)
	calls := whole["calls"].([]any)
	if whole["in_flight"] != 1.0 || len(calls) != 1 || calls[0].(map[string]any)["input_tokens"] != 20.0 || model["model"] != "tiny" {
		t.Error(got.body)
	}
	if limits := model["limits"].([]any); len(limits) != 1 || limits[0].(map[string]any)["used"] != 2.0 || limits[0].(map[string]any)["remaining"] != 1.0 {
		t.Errorf("the model's limits are %v", limits)
	}
	never := s.call("GET", "/admin/v1/explain?model=tiny&input_tokens=101", text, "").want(200)
	if never.object("refusal")["never"] != true {
		t.Error(never.body)
	}
	if other := s.call("GET", "/admin/v1/explain?model=large", text, "").want(200); other.fields()["model_allowed"] != false {
		t.Error(other.body)
	}

	// Nothing was counted by asking.
	if after := s.call("GET", "/admin/v1/explain?model=tiny&input_tokens=10&output_tokens=10", text, "").want(200); after.fields()["admitted"] != true {
		t.Error(after.body)
	}
	acme := s.mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	s.call("GET", "/admin/v1/explain?key="+key.ID, acme, "").want(404)
	s.call("GET", "/admin/v1/explain?key=other", text, "").want(403)
	s.call("GET", "/admin/v1/explain?input_tokens=-1", text, "").want(400)
}
