package admin

import (
	"cmp"
	"errors"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/dialect"
	"github.com/penstockhq/penstock/middleware/forecast"
)

// maxBodyBytes is the largest body that an explanation can be about.
const maxBodyBytes = 1 << 40

// costView is what the call would hold at first, and what it costs at most by what it
// asks for.
type costView struct {
	Held      string       `json:"held"`
	HeldMicro ledger.Micro `json:"held_micro"`
	Most      string       `json:"most"`
	MostMicro ledger.Micro `json:"most_micro"`
}

// maxAnswers is the most answers that a question can be about.
const maxAnswers = 1 << 20

// demand reads what call a question is about, as the gate would know of it, and what
// the call reserves of the limits. The size of the body gives the gate's own estimate
// of the prompt, unless the question names the tokens itself.
func (h *Handler) demand(q *rest.Query, model string) (forecast.Demand, limiter.Request) {
	input := q.Integer("input_tokens", 0, 0, limiter.MaxTokens)
	demand := forecast.Demand{
		Model: model, Bytes: q.Integer("body_bytes", 0, 0, maxBodyBytes),
		Answers: q.Integer("answers", 1, 1, maxAnswers), OutputCap: q.Integer("output_tokens", 0, 0, limiter.MaxTokens),
		TimeLimit: cmp.Or(h.admission.TimeLimit, middleware.DefaultHoldTimeout), Strict: h.admission.StrictEstimate,
	}
	if demand.OutputCap == 0 { // as for a call whose caller names no cap
		demand.CapByDefault, demand.OutputCap = true, middleware.DefaultMaxOutputTokens
		for i := range h.rules.Models {
			if known := &h.rules.Models[i]; known.ID == model && known.MaxOutputTokens > 0 {
				demand.OutputCap = known.MaxOutputTokens
			}
		}
	}
	switch {
	case input == 0 && demand.Bytes > 0:
		input = demand.Estimate()
	case demand.Bytes == 0 && demand.Strict:
		demand.Bytes = max(input-forecast.TemplateTokens, 0)
	case demand.Bytes == 0:
		demand.Bytes = input * forecast.BytesPerToken
	}
	request := limiter.Request{Model: model, Tokens: limiter.Tokens{
		Input: input, Output: min(demand.Most().OutputTokens, limiter.MaxTokens),
	}}
	if demand.CapByDefault && !h.admission.WholeCap {
		request.OutputStep = demand.Answers
	}
	return demand, request
}

// addCost says what the call would hold and cost, and whether there is credit for it.
func (h *Handler) addCost(view *explanation, key *ledger.Key, demand *forecast.Demand) error {
	if demand.Model == "" {
		switch {
		case len(key.Models) == 1:
			demand.Model = key.Models[0]
		case len(h.rules.Models) == 1:
			demand.Model = h.rules.Models[0].ID
		case len(h.rules.Models) > 1:
			return nil // each has its price
		}
	}
	likely := h.admission.Forecast.Likely(demand)
	price := h.ledger.Price(demand.Model)
	held, _ := price.Cost(likely)
	most, _ := price.Cost(demand.Most())
	view.Cost = &costView{Held: held.String(), HeldMicro: held, Most: most.String(), MostMicro: most}
	_, err := h.ledger.Quote(ledger.HoldRequest{KeyID: view.KeyID, Model: demand.Model, Worst: likely})
	var credit *ledger.CreditError
	switch {
	case err == nil, errors.Is(err, ledger.ErrUnknownKey): // the key's state says so
		return nil
	case errors.Is(err, ledger.ErrPaused), errors.Is(err, ledger.ErrFrozen): // key and account say so
		view.Admitted = false
		return nil
	case !errors.As(err, &credit):
		return err
	}
	view.Admitted = false
	if view.Refusal == nil {
		view.Refusal = viewCredit(credit)
	}
	return nil
}

// viewCredit shows what credit is missing. What other calls hold may come back at any
// time.
func viewCredit(credit *ledger.CreditError) *refusalView {
	view := &refusalView{
		Rule: "balance", Unit: dialect.MicroCredits, Limit: int64(credit.Limit), Used: int64(credit.Spent + credit.Held),
		Needed: int64(credit.Needed), Held: new(int64(credit.Held)), Never: credit.Never, Hint: !credit.Never,
	}
	if credit.Budget {
		view.Rule, view.Spent = "budget", new(int64(credit.Spent))
	}
	if !credit.Never {
		view.RetryAfterMS = middleware.RetryWhenHeld.Milliseconds()
	}
	return view
}
