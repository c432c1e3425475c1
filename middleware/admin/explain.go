package admin

import (
	"net/http"
	"slices"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// explanation shows what a key's next call would meet.
type explanation struct {
	KeyID  string `json:"key_id"`
	Model  string `json:"model,omitempty"`
	Tokens struct {
		Input  int64 `json:"input"`
		Output int64 `json:"output"`
	} `json:"tokens"`
	State        string        `json:"state"`
	ModelAllowed bool          `json:"model_allowed"`
	Admitted     bool          `json:"admitted"` // by limits and credit
	Refusal      *refusalView  `json:"refusal"`
	Cost         *costView     `json:"cost"` // null if it is not known which model is called
	Scopes       []scopeView   `json:"scopes"`
	Account      accountView   `json:"account"`
	Budget       *string       `json:"budget"`
	BudgetLeft   *string       `json:"budget_left"` // neither spent nor held
	BudgetMicro  *ledger.Micro `json:"budget_left_micro"`
	Held         string        `json:"held"` // by this key's running calls
	HeldMicro    ledger.Micro  `json:"held_micro"`
}

// refusalView is the limit, the balance or the budget that would refuse the call.
type refusalView struct {
	Rule         string `json:"rule"`
	Model        string `json:"model,omitempty"`
	TokenType    string `json:"token_type"`
	Unit         string `json:"unit,omitempty"` // micro_credits: of balance and budget
	Limit        int64  `json:"limit"`
	Used         int64  `json:"used"`
	Needed       int64  `json:"needed"`
	Spent        *int64 `json:"spent,omitempty"` // of a budget
	Held         *int64 `json:"held,omitempty"`  // by running calls, of a balance or budget
	RetryAfterMS int64  `json:"retry_after_ms"`
	Never        bool   `json:"never"`
	Hint         bool   `json:"hint"`
}

// scopeView is the content of the windows of the key or of its use of the model.
type scopeView struct {
	Model           string      `json:"model,omitempty"`
	Shared          bool        `json:"shared"`
	Window          sumsView    `json:"window"`
	WindowEmptiesMS int64       `json:"window_empties_ms"`
	Day             sumsView    `json:"day"`
	DayEndsMS       int64       `json:"day_ends_ms"`
	InFlight        int64       `json:"in_flight"`
	Calls           []callView  `json:"calls"` // in flight, oldest first
	Limits          []limitView `json:"limits"`
}

// sumsView counts requests and tokens; null where nothing counts a direction.
type sumsView struct {
	Requests     int64  `json:"requests"`
	Tokens       int64  `json:"tokens"`
	InputTokens  *int64 `json:"input_tokens"`
	OutputTokens *int64 `json:"output_tokens"`
}

// callView is a call in flight and what it has reserved.
type callView struct {
	AgeMS        int64  `json:"age_ms"`
	InputTokens  int64  `json:"input_tokens"`
	OutputTokens int64  `json:"output_tokens"`
	LeftMS       *int64 `json:"left_ms"` // until its deadline
}

// limitView is one limit and when it has room for the call.
type limitView struct {
	Rule      string `json:"rule"`
	TokenType string `json:"token_type"`
	Limit     int64  `json:"limit"`
	Used      int64  `json:"used"`
	Remaining int64  `json:"remaining"`
	FitsInMS  int64  `json:"fits_in_ms"`
	Never     bool   `json:"never"`
	Hint      bool   `json:"hint"`
}

// explain answers why a key's call is refused and when it would fit. Members may ask
// about themselves.
func (h *Handler) explain(c *rest.Call) error {
	q, err := c.Query()
	if err != nil {
		return err
	}
	id, model := q.Text("key"), q.Text("model")
	demand, request := h.demand(q, model)
	if err := q.Done(); err != nil {
		return err
	}
	key := c.Caller
	if id != "" && id != key.ID {
		if key.Role != ledger.RoleAdmin {
			return rest.Forbidden("admin_key_required", "Forbidden: a member key may only ask about itself")
		}
		if key, err = h.managedKey(c, id); err != nil {
			return err
		}
	}
	request.Key, request.Owner, request.Rows = key.ID, key.Owner, key.LimitsFor(nil, model)
	state, err := h.limiter.Inspect(c.Context(), request)
	if err != nil {
		return err
	}
	if request.OutputStep > 0 {
		demand.OutputCap = state.Reserved.Output / demand.Answers
	}
	view := explanation{
		KeyID: key.ID, Model: model, State: stateNames[key.State(h.now())], Admitted: state.Admitted,
		ModelAllowed: model == "" || h.rules.Serves(model) && (len(key.Models) == 0 || slices.Contains(key.Models, model)),
		Held:         key.Held.String(), HeldMicro: key.Held, Scopes: []scopeView{},
	}
	view.Tokens.Input, view.Tokens.Output = state.Reserved.Input, state.Reserved.Output
	if account, ok := h.ledger.Account(key.Owner); ok {
		view.Account = viewAccount(&account)
	}
	if key.HasBudget {
		left := max(0, key.Budget-key.Spent-key.Held)
		view.Budget, view.BudgetLeft, view.BudgetMicro = new(key.Budget.String()), new(left.String()), &left
	}
	if !state.Admitted {
		view.Refusal = viewRefusal(&state.Refusal)
	}
	if err := h.addCost(&view, &key, &demand); err != nil {
		return err
	}
	for i := range state.Scopes {
		view.Scopes = append(view.Scopes, viewScope(&state.Scopes[i]))
	}
	c.JSON(http.StatusOK, view)
	return nil
}

func viewRefusal(r *limiter.Refusal) *refusalView {
	return &refusalView{
		Rule: r.Rule.String(), Model: r.Model, TokenType: r.TokenType.String(), Limit: r.Limit, Used: r.Used,
		Needed: r.Needed, RetryAfterMS: r.RetryAfter.Milliseconds(), Never: r.Never, Hint: r.Hint,
	}
}

func viewScope(s *limiter.ScopeState) scopeView {
	view := scopeView{
		Model: s.Model, Shared: s.Shared, Window: viewSums(&s.Window), WindowEmptiesMS: rest.Milliseconds(s.Empties),
		Day: viewSums(&s.Day), DayEndsMS: rest.Milliseconds(s.DayEnds), InFlight: s.InFlight,
		Calls: []callView{}, Limits: []limitView{},
	}
	for _, open := range s.Calls {
		call := callView{AgeMS: open.Age.Milliseconds(), InputTokens: open.Reserved.Input, OutputTokens: open.Reserved.Output}
		if open.Left > 0 {
			call.LeftMS = new(rest.Milliseconds(open.Left))
		}
		view.Calls = append(view.Calls, call)
	}
	for _, limit := range s.Limits {
		view.Limits = append(view.Limits, limitView{
			Rule: limit.Rule.String(), TokenType: limit.TokenType.String(), Limit: limit.Limit, Used: limit.Used,
			Remaining: limit.Remaining, FitsInMS: rest.Milliseconds(limit.FitsIn), Never: limit.Never, Hint: limit.Hint,
		})
	}
	return view
}

func viewSums(sums *limiter.Sums) sumsView {
	view := sumsView{Requests: sums.Requests, Tokens: sums.Tokens}
	if sums.Input >= 0 {
		view.InputTokens = &sums.Input
	}
	if sums.Output >= 0 {
		view.OutputTokens = &sums.Output
	}
	return view
}
