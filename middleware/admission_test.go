package middleware_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
)

func TestADefaultCapShrinksForASmallKeyButAWishDoesNot(t *testing.T) {
	var seen string
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = string(body)
		io.WriteString(w, chatReply)
	}, ledger.NewKey{Limits: []limits.Row{{TPM: 100}}})
	got := h.post("/v1/chat/completions", `{"model":"tiny","messages":[]}`)
	if got.status != 200 || seen != `{"max_tokens":92,"model":"tiny","messages":[]}` {
		t.Errorf("%d %s, the upstream saw %s", got.status, got.body, seen)
	}
	got = h.post("/v1/chat/completions", `{"model":"tiny","messages":[],"max_tokens":512}`)
	if got.status != 400 || got.header.Get("X-Should-Retry") != "false" || !strings.Contains(got.body, `"code":"request_exceeds_limit"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestACallThatCreditRefusesKeepsNoReservation(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	_, h.text = h.newKey(ledger.NewKey{Owner: "poor", Limits: []limits.Row{{RPM: 1, TPM: 100, MaxInFlight: 1}}}, 1)
	for range 3 {
		if got := h.post("/v1/chat/completions", plainBody); got.status != 402 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

func TestAnAnswerFor402NamesBudgetSpentHeldAndNeeded(t *testing.T) {
	inBank(t, slow(0), func(t *testing.T, b *bank) {
		b.account("a", 10*ledger.Credit)
		_, secret, err := b.ledger.CreateKey(t.Context(), ledger.NewKey{Name: "k", Owner: "a", HasBudget: true, Budget: 2000})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.ledger.SetPrice(t.Context(), "tiny", ledger.Price{Output: 100 * ledger.Credit}); err != nil { // 100 a token
			t.Fatal(err)
		}
		if got := b.call(secret.Reveal(), strings.Replace(plainBody, "50", "20", 1)); got.Code != 200 { // produces 3
			t.Fatal(got.Code, got.Body)
		}
		got := b.call(secret.Reveal(), strings.Replace(plainBody, "50", "18", 1))
		want := `"limit":{"rule":"budget","scope":"key","unit":"micro_credits","limit":2000,"used":300,"needed":1800,"spent":300,"held":0}`
		if got.Code != 402 || !strings.Contains(got.Body.String(), want) {
			t.Error(got.Code, got.Body)
		}
	})
}

func TestCreditThatOtherCallsHoldIsWaitedFor(t *testing.T) {
	stage := newStage()
	h := build(t, stage.serve, ledger.NewKey{})
	_, h.text = h.newKey(ledger.NewKey{Owner: "tight", HasBudget: true, Budget: ledger.Credit / 4}, 10*ledger.Credit)
	done := make(chan answer, 1)
	go func() { done <- h.post("/v1/chat/completions", plainBody) }()
	<-stage.arrived
	got := h.post("/v1/chat/completions", plainBody)
	if got.status != 429 || !strings.Contains(got.body, `"code":"credit_held"`) || got.header.Get("Retry-After-Ms") != "1000" || !strings.Contains(got.body, `"rule":"budget","scope":"key"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	close(stage.send)
	<-done
}
