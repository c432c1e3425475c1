package admin

import (
	"maps"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/rules"
)

// limitsView is a row of limits on the wire.
type limitsView limits.Row

// keyView is a key on the wire. It never holds the text of the key.
type keyView struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Owner       string            `json:"owner"`
	Hint        string            `json:"hint"`
	Role        string            `json:"role"`
	AllOwners   bool              `json:"all_owners"`
	State       string            `json:"state"`
	Models      []string          `json:"models"`
	Limits      limitsView        `json:"limits"`
	ModelLimits []limitsView      `json:"model_limits"`
	Pending     *pendingView      `json:"pending,omitempty"`
	Permissions []string          `json:"permissions"`
	CIDRs       []string          `json:"cidrs"`
	Budget      *string           `json:"budget"`
	BudgetMicro *ledger.Micro     `json:"budget_micro"`
	Held        string            `json:"held"`
	HeldMicro   ledger.Micro      `json:"held_micro"`
	Spent       string            `json:"spent"`
	SpentMicro  ledger.Micro      `json:"spent_micro"`
	Requests    int64             `json:"requests"` // calls that ran, ever
	CreatedAt   *string           `json:"created_at"`
	LastUsedAt  *string           `json:"last_used_at"` // when its last call ended
	ExpiresAt   *string           `json:"expires_at"`
	RevokedAt   *string           `json:"revoked_at"`
	Metadata    map[string]string `json:"metadata"`
	Version     int64             `json:"version"`
}

// pendingView shows that limits were changed for the next window. Until then the
// previous ones are in force: those per minute until the next minute, those per day
// until midnight.
type pendingView struct {
	ChangedAt           *string      `json:"changed_at"`
	PreviousLimits      limitsView   `json:"previous_limits"`
	PreviousModelLimits []limitsView `json:"previous_model_limits"`
}

// secretView is a key in the reply that creates or rotates it, the one place
// where its text is shown. Replayed is true if the same request made it before: then Key
// is null, because the text was in the first reply.
type secretView struct {
	keyView
	Key      *string `json:"key"`
	Replayed bool    `json:"replayed"`
}

// viewSecret shows a key that was made or rotated just now, or by an earlier request if
// the secret is empty.
func (h *Handler) viewSecret(key *ledger.Key, secret ledger.Secret) secretView {
	view := secretView{keyView: h.viewKey(key), Replayed: true}
	if text := secret.Reveal(); text != "" {
		view.Key, view.Replayed = &text, false
	}
	return view
}

// stateNames are the words for the states of keys on the wire.
var stateNames = map[ledger.KeyState]string{
	ledger.StateActive: "active", ledger.StateExpired: "expired", ledger.StateRevoked: "revoked",
	ledger.StatePaused: "paused",
}

// viewLimits shows the limits of the whole key and those of its models.
func viewLimits(rows []limits.Row) (limitsView, []limitsView) {
	whole, models := rules.Split(rows)
	views := make([]limitsView, len(models))
	for i, row := range models {
		views[i] = limitsView(row)
	}
	return limitsView(whole), views
}

// waits reports whether limits from before a change are still in force.
func (h *Handler) waits(key *ledger.Key) bool {
	if key.LimitsChange.Previous == nil {
		return false
	}
	minute, day := limits.PreviousBinds(key.LimitsChange.At, h.now(), h.zone)
	return minute || day && !maps.Equal(dayLimits(key.LimitsChange.Previous), dayLimits(key.Limits))
}

// dayLimits returns the limits per day, keyed by what they count.
func dayLimits(rows []limits.Row) map[limits.Row]limits.Row {
	perDay := make(map[limits.Row]limits.Row)
	for _, row := range rows {
		if row.RPD != 0 || row.TPD != 0 {
			perDay[limits.Row{Model: row.Model, TokenType: row.TokenType}] = limits.Row{RPD: row.RPD, TPD: row.TPD}
		}
	}
	return perDay
}

func (h *Handler) viewKey(key *ledger.Key) keyView {
	view := keyView{
		ID: key.ID, Name: key.Name, Owner: key.Owner, Hint: key.Hint, Role: key.Role.String(),
		AllOwners: key.AllOwners, State: stateNames[key.State(h.now())],
		Models: present(key.Models), Permissions: present(key.Permissions), CIDRs: make([]string, 0, len(key.CIDRs)),
		Held: key.Held.String(), HeldMicro: key.Held, Spent: key.Spent.String(), SpentMicro: key.Spent, Requests: key.Calls,
		CreatedAt: rest.FormatMoment(key.CreatedAt), LastUsedAt: rest.FormatMoment(key.LastUsedAt), ExpiresAt: rest.FormatMoment(key.ExpiresAt),
		RevokedAt: rest.FormatMoment(key.RevokedAt), Metadata: key.Metadata, Version: key.Version,
	}
	view.Limits, view.ModelLimits = viewLimits(key.Limits)
	if h.waits(key) {
		pending := &pendingView{ChangedAt: rest.FormatMoment(key.LimitsChange.At)}
		pending.PreviousLimits, pending.PreviousModelLimits = viewLimits(key.LimitsChange.Previous)
		view.Pending = pending
	}
	for _, prefix := range key.CIDRs {
		view.CIDRs = append(view.CIDRs, prefix.String())
	}
	if key.HasBudget {
		budget := key.Budget.String()
		view.Budget, view.BudgetMicro = &budget, &key.Budget
	}
	if view.Metadata == nil {
		view.Metadata = map[string]string{}
	}
	return view
}

// present makes an absent list an empty one, so that clients always find a list.
func present(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
