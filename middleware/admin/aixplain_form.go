package admin

import (
	"cmp"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

// sdkTimeForms are the datetime forms that the aiXplain SDK sends beside
// RFC 3339: Python's isoformat of a time without a zone, and a bare date. They
// mean UTC. Fractions of any length are accepted with each clock time.
var sdkTimeForms = [...]string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"}

// aixplainLimits is a row of limits as the aiXplain SDK writes and reads it. All
// four numbers are always there: its older half breaks without them.
type aixplainLimits struct {
	AssetID   string  `json:"assetId,omitempty"`
	TPM       int64   `json:"tpm"`
	TPD       int64   `json:"tpd"`
	RPM       int64   `json:"rpm"`
	RPD       int64   `json:"rpd"`
	TokenType *string `json:"tokenType"`
}

// aixplainKey is a key as the aiXplain SDK reads it.
type aixplainKey struct {
	ID           string           `json:"id"`
	Name         string           `json:"name"`
	AccessKey    string           `json:"accessKey"`
	IsAdmin      bool             `json:"isAdmin"`
	Budget       any              `json:"budget"`
	ExpiresAt    *string          `json:"expiresAt"`
	GlobalLimits *aixplainLimits  `json:"globalLimits"`
	AssetsLimits []aixplainLimits `json:"assetsLimits"`
}

// viewAixplain shows a key behind its mask, or with its text in the one reply
// that creates it. The mask keeps the four characters at each end by which the
// SDK finds a key in a list.
func viewAixplain(key *ledger.Key, text string) aixplainKey {
	view := aixplainKey{
		ID: key.ID, Name: key.Name, AccessKey: cmp.Or(text, mask(key.Hint)), IsAdmin: key.Role == ledger.RoleAdmin,
		ExpiresAt: rest.FormatMoment(key.ExpiresAt), AssetsLimits: []aixplainLimits{},
	}
	if key.HasBudget {
		view.Budget = rest.AmountNumber(key.Budget)
	}
	for _, row := range key.Limits {
		limits := aixplainLimits{AssetID: row.Model, TPM: row.TPM, TPD: row.TPD, RPM: row.RPM, RPD: row.RPD}
		if row.TokenType == "input" || row.TokenType == "output" || row.TokenType == "total" {
			limits.TokenType = &row.TokenType
		}
		if row.Model == "" {
			view.GlobalLimits = &limits
		} else {
			view.AssetsLimits = append(view.AssetsLimits, limits)
		}
	}
	return view
}

// mask puts dots between the two halves of a hint.
func mask(hint string) string { return hint[:len(hint)/2] + "..." + hint[len(hint)/2:] }

// aixplainForm is what a create or a full replacement by the aiXplain SDK says.
// Fields that its backend does not know are ignored, as there.
type aixplainForm struct {
	name      string
	limits    []ledger.Limits
	hasBudget bool
	budget    ledger.Micro
	expiresAt time.Time
}

// aixplainForm reads the body of a create, or of an update if there is a key
// already. Limits that are left out travel as 0, so 0 means no limit; where the
// configuration demands one, it means the highest that is allowed. Limits that
// the SDK does not know stay as they are.
func (h *Handler) aixplainForm(f *rest.Fields, key *ledger.Key) aixplainForm {
	form := aixplainForm{name: f.Text("name", maxName)}
	if form.name == "" {
		f.Refuse("name", "required")
	}
	form.budget, form.hasBudget = f.NumberAmount("budget")
	form.expiresAt, _ = f.Moment("expiresAt", h.now(), sdkTimeForms[:]...)
	whole := ledger.Limits{TokenType: "total"}
	if global := f.Object("globalLimits"); global != nil {
		whole.MaxInFlight = inFlightOf(key, "")
		aixplainRow(global, &whole)
		whole = h.raise(whole)
		h.bounded(global, whole)
	} else if key == nil || key.Role == ledger.RoleMember {
		whole = h.defaultRow()
		whole.MaxInFlight = cmp.Or(inFlightOf(key, ""), whole.MaxInFlight)
		whole = h.raise(whole)
	}
	if whole != (ledger.Limits{TokenType: whole.TokenType}) {
		form.limits = append(form.limits, whole)
	}
	for _, asset := range f.Objects("assetsLimits", maxModels) {
		row := ledger.Limits{Model: h.modelID(asset.Text("assetId", maxName))}
		row.MaxInFlight = inFlightOf(key, row.Model)
		h.checkModel(asset, "assetId", row.Model)
		aixplainRow(asset, &row)
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

func aixplainRow(f *rest.Fields, row *ledger.Limits) {
	row.TPM, _ = f.Integer("tpm", 0, schema.MaxInteger)
	row.TPD, _ = f.Integer("tpd", 0, schema.MaxInteger)
	row.RPM, _ = f.Integer("rpm", 0, schema.MaxInteger)
	row.RPD, _ = f.Integer("rpd", 0, schema.MaxInteger)
	row.TokenType = f.Word("tokenType", "total", "total", "input", "output")
}

// raise sets limits of 0 to the highest allowed value, where there is one.
func (h *Handler) raise(row ledger.Limits) ledger.Limits {
	bounds := h.bounds.list()
	for i, limit := range limitFields(&row) {
		if *limit.value == 0 {
			*limit.value = bounds[i].High
		}
	}
	return row
}
