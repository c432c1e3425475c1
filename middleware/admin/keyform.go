package admin

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

// Bounds of what is read, in entries and bytes. What a key may hold is for the
// ledger to say.
const (
	maxName   = 256
	maxModels = 1000
	maxValue  = 1024
)

// scopes are the path classes that a key can be limited to.
var scopes = []string{middleware.ScopeInference, middleware.ScopeEmbeddings, middleware.ScopeRAG}

// keyForm reads the fields of a key that callers may set.
type keyForm struct {
	*rest.Fields
	handler *Handler
}

// limitFields are the limits of a row in the order of the wire.
func limitFields(row *ledger.Limits) [5]struct {
	name  string
	value *int64
} {
	return [...]struct {
		name  string
		value *int64
	}{
		{"rpm", &row.RPM}, {"tpm", &row.TPM}, {"rpd", &row.RPD}, {"tpd", &row.TPD}, {"max_in_flight", &row.MaxInFlight},
	}
}

// limitsInto lays the limits that are given over those of row. One that is null
// becomes that of null.
func limitsInto(f *rest.Fields, row *ledger.Limits, null ledger.Limits) {
	nulls := limitFields(&null)
	for i, limit := range limitFields(row) {
		if f.IsNull(limit.name) {
			*limit.value = *nulls[i].value
		}
		if number, present := f.Integer(limit.name, 0, schema.MaxInteger); present {
			*limit.value = number
		}
	}
	if f.Has("token_type") {
		row.TokenType = f.Word("token_type", "total", "total", "input", "output")
	}
	f.Done()
}

// bounded checks the limits of a whole key.
func (h *Handler) bounded(f *rest.Fields, row ledger.Limits) {
	bounds := h.bounds.list()
	for i, limit := range limitFields(&row) {
		low, high := bounds[i].Low, bounds[i].High
		switch value := *limit.value; {
		case value == 0 && high > 0:
			f.Refuse(limit.name, "0 sets no limit, but at most %d is allowed here", high)
		case value != 0 && value < low:
			f.Refuse(limit.name, "%d is below %d", value, low)
		case high > 0 && value > high:
			f.Refuse(limit.name, "%d is above %d", value, high)
		}
	}
}

// limitRows reads limits and model_limits. Limits of the whole key that are not
// given stay as they are in whole, those that are null become those of null;
// model rows are replaced as one list.
func (f keyForm) limitRows(whole, null ledger.Limits, models []ledger.Limits) []ledger.Limits {
	if f.IsNull("limits") {
		whole = null
		f.handler.bounded(f.Absent("limits"), whole)
	}
	if object := f.Object("limits"); object != nil {
		limitsInto(object, &whole, null)
		f.handler.bounded(object, whole)
	}
	if f.Has("model_limits") {
		models = nil
		for _, object := range f.Objects("model_limits", maxModels) {
			row := ledger.Limits{Model: object.Text("model", maxName), TokenType: "total"}
			f.handler.checkModel(object, "model", row.Model)
			limitsInto(object, &row, ledger.Limits{})
			models = append(models, row)
		}
	}
	rows := models
	if whole != (ledger.Limits{TokenType: whole.TokenType}) {
		rows = append([]ledger.Limits{whole}, models...)
	}
	return rows
}

// checkModel refuses models that the gateway does not serve.
func (h *Handler) checkModel(f *rest.Fields, name, model string) {
	if model == "" {
		f.Refuse(name, "required")
	} else if len(h.models) > 0 && h.model(model) == nil {
		f.Refuse(name, "no model %s", rest.Shown(model))
	}
}

// model returns a configured model by its id.
func (h *Handler) model(id string) *Model {
	at := slices.IndexFunc(h.models, func(m Model) bool { return m.ID == id })
	if at < 0 {
		return nil
	}
	return &h.models[at]
}

// keyName reads a name, which every key has.
func (f keyForm) keyName() string {
	name := f.Text("name", maxName)
	if name == "" {
		f.Refuse("name", "required")
	}
	return name
}

// modelNames reads the models that a key is bound to.
func (f keyForm) modelNames() []string {
	models := f.Texts("models")
	for i, model := range models {
		f.handler.checkModel(f.Fields, "models."+strconv.Itoa(i), model)
	}
	return models
}

// scopeNames reads the path classes that a key is limited to.
func (f keyForm) scopeNames() []string {
	names := f.Texts("scopes")
	for _, name := range names {
		if !slices.Contains(scopes, name) {
			f.Refuse("scopes", "%s is not one of %v", rest.Shown(name), scopes)
		}
	}
	return names
}

// networks reads the client networks that a key is limited to. A bare address
// means itself alone.
func (f keyForm) networks() []netip.Prefix {
	networks, err := ledger.ParseCIDRs(f.Texts("cidrs"))
	if err != nil {
		f.Fail(err)
	}
	return networks
}

// newKey reads the body of a create.
func (f keyForm) newKey(now time.Time) ledger.NewKey {
	made := ledger.NewKey{
		Name:      f.keyName(),
		Owner:     f.Text("owner", maxName),
		AllOwners: f.Flag("all_owners"),
		Models:    f.modelNames(),
		Scopes:    f.scopeNames(),
		CIDRs:     f.networks(),
		Metadata:  f.TextMap("metadata", maxValue),
	}
	if f.Word("role", "member", "member", "admin") == "admin" {
		made.Role = ledger.RoleAdmin
	}
	if made.AllOwners && made.Role != ledger.RoleAdmin {
		f.Refuse("all_owners", "only an admin key manages owners")
	}
	whole := ledger.Limits{TokenType: "total"}
	if made.Role == ledger.RoleMember {
		whole = f.handler.raise(f.handler.defaultRow())
	}
	made.Limits = f.limitRows(whole, whole, nil)
	made.Budget, made.HasBudget = f.Amount("budget")
	made.ExpiresAt, _ = f.Moment("expires_at", now, time.RFC3339)
	f.Done()
	return made
}

// defaultRow is the row of a new member key.
func (h *Handler) defaultRow() ledger.Limits {
	row := h.defaults
	row.Model = ""
	if row.TokenType == "" {
		row.TokenType = "total"
	}
	return row
}
