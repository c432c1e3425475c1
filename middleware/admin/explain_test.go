package admin

import (
	"context"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

func rowsFor(key *ledger.Key, model string) []limits.Binding { return key.LimitsFor(nil, model) }

func TestExplainTellsWhichLimitRefusesAndWhoHoldsWhat(t *testing.T) {
	s := newServer(t, WithModels(Model{ID: "tiny"}, Model{ID: "large"}))
	s.Grant("default", 10*ledger.Credit)
	text := s.Mint(ledger.NewKey{
		Name: "m", Models: []string{"tiny"}, HasBudget: true, Budget: 2 * ledger.Credit,
		Limits: []limits.Row{{TPM: 100, MaxInFlight: 5, TokenType: limits.Total}, {Model: "tiny", RPM: 3, TokenType: limits.Total}},
	})
	key, err := s.Ledger.Authenticate(text)
	if err != nil {
		t.Fatal(err)
	}
	s.Run(&key, "tiny", limiter.Tokens{Input: 30, Output: 10})
	running, err := s.Limiter.Reserve(context.Background(), limiter.Request{
		Key: key.ID, Model: "tiny", Tokens: limiter.Tokens{Input: 20, Output: 20}, Rows: rowsFor(&key, "tiny"), Timeout: time.Minute,
	})
	if err != nil || !running.Admitted {
		t.Fatalf("%+v %v", running, err)
	}
	if _, err := s.Ledger.Hold(context.Background(), ledger.HoldRequest{KeyID: key.ID, Model: "tiny", Worst: ledger.Quantity{Duration: time.Minute}, Deadline: s.Clock().Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}

	fits := s.Call("GET", "/admin/v1/explain?model=tiny&input_tokens=10&output_tokens=10", text, "").Want(200)
	if fits.Fields()["admitted"] != true || fits.Fields()["refusal"] != nil || fits.Fields()["model_allowed"] != true ||
		fits.Text("budget_left") != "1.000000" || fits.Text("held") != "1.000000" || fits.Object("account")["available"] != "9.000000" {
		t.Error(fits.Body)
	}
	got := s.Call("GET", "/admin/v1/explain?key="+key.ID+"&model=tiny&input_tokens=11&output_tokens=10", s.Admin, "").Want(200)
	refusal := got.Object("refusal")
	if got.Fields()["admitted"] != false || refusal["rule"] != "tpm" || refusal["used"] != 80.0 || refusal["needed"] != 21.0 || refusal["limit"] != 100.0 {
		t.Error(got.Body)
	}
	if wait := refusal["retry_after_ms"].(float64); wait <= 0 || wait > 60_000 {
		t.Errorf("wait %v ms", wait)
	}
	scopes := got.List("scopes")
	whole, model := scopes[0].(map[string]any), scopes[1].(map[string]any)
	calls := whole["calls"].([]any)
	if whole["in_flight"] != 1.0 || len(calls) != 1 || calls[0].(map[string]any)["input_tokens"] != 20.0 || model["model"] != "tiny" {
		t.Error(got.Body)
	}
	if row := model["limits"].([]any); len(row) != 1 || row[0].(map[string]any)["used"] != 2.0 || row[0].(map[string]any)["remaining"] != 1.0 {
		t.Errorf("the model's limits are %v", row)
	}
	never := s.Call("GET", "/admin/v1/explain?model=tiny&input_tokens=101", text, "").Want(200)
	if never.Object("refusal")["never"] != true {
		t.Error(never.Body)
	}
	if other := s.Call("GET", "/admin/v1/explain?model=large", text, "").Want(200); other.Fields()["model_allowed"] != false {
		t.Error(other.Body)
	}

	// Nothing was counted by asking.
	if after := s.Call("GET", "/admin/v1/explain?model=tiny&input_tokens=10&output_tokens=10", text, "").Want(200); after.Fields()["admitted"] != true {
		t.Error(after.Body)
	}
	acme := s.Mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	s.Call("GET", "/admin/v1/explain?key="+key.ID, acme, "").Want(404)
	s.Call("GET", "/admin/v1/explain?key=other", text, "").Want(403)
	s.Call("GET", "/admin/v1/explain?input_tokens=-1", text, "").Want(400)
}

// The gate serves models by their ids alone.
func TestExplainKnowsNoModelByItsPath(t *testing.T) {
	s := newServer(t, WithModels(Model{ID: "tiny", Path: "acme/tiny/acme"}))
	got := s.Call("GET", "/admin/v1/explain?model=acme%2Ftiny%2Facme", s.Member, "").Want(200)
	if got.Fields()["model_allowed"] != false {
		t.Errorf("explain says %s", got.Body)
	}
}
