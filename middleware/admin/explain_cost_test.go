package admin

import (
	"context"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/forecast"
)

func TestExplainKnowsWhatACallHoldsAndThatItIsRefused(t *testing.T) {
	known := forecast.New()
	s := newServer(t, WithModels(Model{ID: "tiny", MaxOutputTokens: 100}), WithAdmission(Admission{Forecast: known, TimeLimit: time.Minute}))
	if err := s.Ledger.SetPrice(context.Background(), "tiny", ledger.Price{Minute: ledger.Credit, Input: 1000 * ledger.Credit, Output: 1000 * ledger.Credit}); err != nil {
		t.Fatal(err)
	}
	text := s.Mint(ledger.NewKey{Name: "m", Owner: "acme", HasBudget: true, Budget: ledger.Credit / 2})
	s.Grant("acme", 10*ledger.Credit)
	key, err := s.Ledger.Authenticate(text)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(query string) (admitted bool, held, most float64, refusal map[string]any) {
		got := s.Call("GET", "/admin/v1/explain?model=tiny"+query, text, "").Want(200)
		refusal, _ = got.Fields()["refusal"].(map[string]any)
		cost := got.Object("cost")
		return got.Fields()["admitted"] == true, cost["held_micro"].(float64), cost["most_micro"].(float64), refusal
	}
	// 10 s, a third of the bytes and the cap; at most a minute, the bytes and 64, the cap.
	admitted, held, most, refusal := ask("&body_bytes=90&output_tokens=10")
	if !admitted || held != 166_667+30_000+10_000 || most != 1_000_000+154_000+10_000 || refusal != nil {
		t.Errorf("%t, holds %v, at most %v, %v", admitted, held, most, refusal)
	}
	if got := s.Call("GET", "/admin/v1/explain?model=tiny&body_bytes=90", text, "").Want(200); got.Object("tokens")["input"] != 23.0 {
		t.Errorf("the prompt is estimated: %s", got.Body)
	}
	if _, held, most, _ := ask(""); held != 166_667+100_000 || most != 1_000_000+64_000+100_000 {
		t.Errorf("without a cap: holds %v, at most %v", held, most)
	}
	known.Learn(&forecast.Demand{Model: "tiny", Bytes: 90}, &ledger.Quantity{}, 3*time.Second, false)
	if _, held, _, _ := ask("&body_bytes=90&output_tokens=10"); held < 90_000 || held > 97_000 {
		t.Errorf("after a call of 3 s: holds %v", held)
	}

	// Another call holds 0.3 of the budget of 0.5.
	id, err := s.Ledger.Hold(context.Background(), ledger.HoldRequest{KeyID: key.ID, Model: "tiny", Worst: ledger.Quantity{OutputTokens: 300}, Deadline: s.Clock().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	admitted, _, _, refusal = ask("&body_bytes=3&output_tokens=200")
	if admitted || refusal["rule"] != "budget" || refusal["never"] != false || refusal["hint"] != true || refusal["retry_after_ms"] != 1000.0 || refusal["held"] != 300_000.0 {
		t.Errorf("%t, %v", admitted, refusal)
	}
	if _, err := s.Ledger.Settle(context.Background(), id.ID, ledger.Settlement{Quantity: ledger.Quantity{OutputTokens: 300}}); err != nil {
		t.Fatal(err)
	}
	admitted, _, _, refusal = ask("&body_bytes=3&output_tokens=200")
	if admitted || refusal["never"] != true || refusal["spent"] != 300_000.0 || refusal["held"] != 0.0 || refusal["limit"] != 500_000.0 || refusal["unit"] != "micro_credits" || refusal["needed"].(float64) < 250_000 {
		t.Errorf("%t, %v", admitted, refusal)
	}
	if _, err := s.Ledger.Hold(context.Background(), ledger.HoldRequest{KeyID: key.ID, Model: "tiny", Worst: ledger.Quantity{OutputTokens: 201}}); err == nil {
		t.Error("admission says otherwise")
	}
}

func TestExplainAsksForWhatACallWithoutACapReserves(t *testing.T) {
	for _, test := range []struct {
		name     string
		query    string
		wholeCap bool
		used     int64
		output   float64
		admitted bool
	}{
		{"all that the limit takes", "", false, 0, 50, true},
		{"in whole answers", "&answers=3", false, 0, 48, true},
		{"the default of the model", "", true, 0, 100, false},
		{"a cap of its own", "&output_tokens=20", false, 0, 20, true},
		{"a cap for each answer", "&output_tokens=20&answers=3", false, 0, 60, false},
		{"what others use is not its own", "", false, 30, 50, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, WithModels(Model{ID: "tiny", MaxOutputTokens: 100}), WithAdmission(Admission{WholeCap: test.wholeCap}))
			s.Grant("default", 10*ledger.Credit)
			text := s.Mint(ledger.NewKey{Name: "m", Limits: []limits.Row{{TPM: 60, TokenType: limits.Total}}})
			key, err := s.Ledger.Authenticate(text)
			if err != nil {
				t.Fatal(err)
			}
			if test.used > 0 {
				s.Run(&key, "tiny", limiter.Tokens{Input: test.used})
			}
			got := s.Call("GET", "/admin/v1/explain?model=tiny&body_bytes=40"+test.query, text, "").Want(200)
			if got.Fields()["admitted"] != test.admitted || got.Object("tokens")["output"] != test.output {
				t.Errorf("admitted %v, want %t; output %v, want %v", got.Fields()["admitted"], test.admitted, got.Object("tokens")["output"], test.output)
			}
		})
	}
}
