package aixplain

import (
	"cmp"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/rules"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

// timeForms are the datetime forms that the aiXplain SDK sends beside
// RFC 3339: Python's isoformat of a time without a zone, and a bare date. They
// mean UTC. Fractions of any length are accepted with each clock time.
var timeForms = [...]string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"}

// limitsView is a row of limits as the aiXplain SDK writes and reads it. All
// four numbers are always there: its older half breaks without them.
type limitsView struct {
	AssetID   string           `json:"assetId,omitempty"`
	TPM       int64            `json:"tpm"`
	TPD       int64            `json:"tpd"`
	RPM       int64            `json:"rpm"`
	RPD       int64            `json:"rpd"`
	TokenType limits.TokenType `json:"tokenType"`
}

// keyView is a key as the aiXplain SDK reads it.
type keyView struct {
	ID           string       `json:"id"`
	Name         string       `json:"name"`
	AccessKey    string       `json:"accessKey"`
	IsAdmin      bool         `json:"isAdmin"`
	Budget       any          `json:"budget"`
	ExpiresAt    *string      `json:"expiresAt"`
	GlobalLimits *limitsView  `json:"globalLimits"`
	AssetsLimits []limitsView `json:"assetsLimits"`
}

// viewKey shows a key behind its mask, or with its text in the one reply
// that creates it. The mask keeps the four characters at each end by which the
// SDK finds a key in a list.
func viewKey(key *ledger.Key, text string) keyView {
	view := keyView{
		ID: key.ID, Name: key.Name, AccessKey: cmp.Or(text, mask(key.Hint)), IsAdmin: key.Role == ledger.RoleAdmin,
		ExpiresAt: rest.FormatMoment(key.ExpiresAt), AssetsLimits: []limitsView{},
	}
	if key.HasBudget {
		view.Budget = rest.AmountNumber(key.Budget)
	}
	for _, row := range key.Limits {
		shown := limitsView{AssetID: row.Model, TPM: row.TPM, TPD: row.TPD, RPM: row.RPM, RPD: row.RPD, TokenType: row.TokenType}
		if row.Model == "" {
			view.GlobalLimits = &shown
		} else {
			view.AssetsLimits = append(view.AssetsLimits, shown)
		}
	}
	return view
}

// madeView is the reply to a create. Replayed is there, and true, if the same request made
// the key before: then the text was in the first reply.
type madeView struct {
	keyView
	Replayed bool `json:"replayed,omitempty"`
}

// viewMade shows a key that was made just now, or by an earlier request if there is no text.
func viewMade(key *ledger.Key, text string) madeView {
	return madeView{viewKey(key, text), text == ""}
}

// mask puts dots between the two halves of a hint.
func mask(hint string) string { return hint[:len(hint)/2] + "..." + hint[len(hint)/2:] }

// keyForm is what a create or a full replacement by the aiXplain SDK says.
// Fields that its backend does not know are ignored, as there.
type keyForm struct {
	name      string
	limits    []limits.Row
	hasBudget bool
	budget    ledger.Micro
	expiresAt time.Time
}

// readForm reads the body of a create, or of an update if there is a key
// already. Limits that are left out travel as 0, so 0 means no limit; where the
// configuration demands one, it means the highest that is allowed. Limits that
// the SDK does not know stay as they are.
func (a *api) readForm(f *rest.Fields, key *ledger.Key) keyForm {
	form := keyForm{name: f.Text("name", rules.MaxName)}
	if form.name == "" {
		f.Refuse("name", "required")
	}
	form.budget, form.hasBudget = f.NumberAmount("budget")
	form.expiresAt, _ = f.Moment("expiresAt", a.Now(), timeForms[:]...)
	whole := limits.Row{}
	if global := f.Object("globalLimits"); global != nil {
		whole.MaxInFlight = inFlightOf(key, "")
		readLimits(global, &whole)
		whole = a.Rules.Bounds.Raise(whole)
		a.Rules.CheckBounds(global, whole)
	} else if key == nil || key.Role == ledger.RoleMember {
		whole = a.Rules.DefaultRow()
		whole.MaxInFlight = cmp.Or(inFlightOf(key, ""), whole.MaxInFlight)
		whole = a.Rules.Bounds.Raise(whole)
	}
	if !whole.Unlimited() {
		form.limits = append(form.limits, whole)
	}
	for _, asset := range f.Objects("assetsLimits", rules.MaxModels) {
		row := limits.Row{Model: a.Rules.ModelID(asset.Text("assetId", rules.MaxName))}
		row.MaxInFlight = inFlightOf(key, row.Model)
		a.Rules.CheckModel(asset, "assetId", row.Model)
		readLimits(asset, &row)
		form.limits = append(form.limits, row)
	}
	return form
}

// inFlightOf returns the limit of calls in flight that a key has now.
func inFlightOf(key *ledger.Key, model string) int64 {
	if key == nil {
		return 0
	}
	for _, row := range key.Limits {
		if row.Model == model {
			return row.MaxInFlight
		}
	}
	return 0
}

func readLimits(f *rest.Fields, row *limits.Row) {
	row.TPM, _ = f.Integer("tpm", 0, schema.MaxInteger)
	row.TPD, _ = f.Integer("tpd", 0, schema.MaxInteger)
	row.RPM, _ = f.Integer("rpm", 0, schema.MaxInteger)
	row.RPD, _ = f.Integer("rpd", 0, schema.MaxInteger)
	row.TokenType = rules.TokenType(f, "tokenType")
}
