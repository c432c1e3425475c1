package admin

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/rules"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

// maxValue bounds a value of the metadata in bytes. What a key may hold is for the
// ledger to say.
const maxValue = 1024

// permissions are the path classes that a key can be limited to.
var permissions = []string{middleware.PermissionInference, middleware.PermissionEmbeddings, middleware.PermissionRAG}

// keyForm reads the fields of a key that callers may set.
type keyForm struct {
	*rest.Fields
	rules *rules.Set
}

// limitsInto lays the limits that are given over those of row. One that is null
// becomes that of null.
func limitsInto(f *rest.Fields, row *limits.Row, null limits.Row) {
	for _, rule := range limits.Rules() {
		name, value := rule.String(), row.Value(rule)
		if f.IsNull(name) {
			*value = *null.Value(rule)
		}
		if number, present := f.Integer(name, 0, schema.MaxInteger); present {
			*value = number
		}
	}
	if f.Has("token_type") {
		row.TokenType = rules.TokenType(f, "token_type")
	}
	f.Done()
}

// limitRows reads limits and model_limits. Limits of the whole key that are not
// given stay as they are in whole, those that are null become those of null;
// model rows are replaced as one list.
func (f keyForm) limitRows(whole, null limits.Row, models []limits.Row) []limits.Row {
	if f.IsNull("limits") {
		whole = null
		f.rules.CheckBounds(f.Absent("limits"), whole)
	}
	if object := f.Object("limits"); object != nil {
		limitsInto(object, &whole, null)
		f.rules.CheckBounds(object, whole)
	}
	if f.Has("model_limits") {
		models = nil
		for _, object := range f.Objects("model_limits", rules.MaxModels) {
			row := limits.Row{Model: object.Text("model", rules.MaxName)}
			f.rules.CheckModel(object, "model", row.Model)
			limitsInto(object, &row, limits.Row{})
			models = append(models, row)
		}
	}
	rows := models
	if !whole.Unlimited() {
		rows = append([]limits.Row{whole}, models...)
	}
	return rows
}

// keyName reads a name, which every key has.
func (f keyForm) keyName() string {
	name := f.Text("name", rules.MaxName)
	if name == "" {
		f.Refuse("name", "required")
	}
	return name
}

// modelNames reads the models that a key is bound to.
func (f keyForm) modelNames() []string {
	models := f.Texts("models")
	for i, model := range models {
		f.rules.CheckModel(f.Fields, "models."+strconv.Itoa(i), model)
	}
	return models
}

// permissionNames reads the path classes that a key is limited to.
func (f keyForm) permissionNames() []string {
	names := f.Texts("permissions")
	for _, name := range names {
		if !slices.Contains(permissions, name) {
			f.Refuse("permissions", "%s is not one of %v", rest.Shown(name), permissions)
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
		Name:        f.keyName(),
		Owner:       f.Text("owner", rules.MaxName),
		AllOwners:   f.Flag("all_owners"),
		Models:      f.modelNames(),
		Permissions: f.permissionNames(),
		CIDRs:       f.networks(),
		Metadata:    f.TextMap("metadata", maxValue),
	}
	if f.Word("role", "member", "member", "admin") == "admin" {
		made.Role = ledger.RoleAdmin
	}
	if made.AllOwners && made.Role != ledger.RoleAdmin {
		f.Refuse("all_owners", "only an admin key manages owners")
	}
	whole := limits.Row{}
	if made.Role == ledger.RoleMember {
		whole = f.rules.Bounds.Raise(f.rules.DefaultRow())
	}
	made.Limits = f.limitRows(whole, whole, nil)
	made.Budget, made.HasBudget = f.Amount("budget")
	made.ExpiresAt, _ = f.Moment("expires_at", now, time.RFC3339)
	f.Done()
	return made
}
