package aixplain

import (
	"net/http"
	"slices"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// usageView is a row of daily usage. The row without an asset is that of the
// whole key; a limit of null means that there is none.
type usageView struct {
	AssetID           string `json:"assetId,omitempty"`
	RequestCount      int64  `json:"requestCount"`
	RequestCountLimit *int64 `json:"requestCountLimit"`
	TokenCount        int64  `json:"tokenCount"`
	TokenCountLimit   *int64 `json:"tokenCountLimit"`
}

// ownUsage answers for the caller's own key. An admin key uses nothing: the
// SDK asks here with the admin's key for other keys too and expects no error.
func (a *api) ownUsage(c *rest.Call) error {
	if c.Caller.Role == ledger.RoleAdmin {
		c.JSON(http.StatusOK, []usageView{})
		return nil
	}
	return a.usageOf(c, &c.Caller)
}

func (a *api) keyUsage(c *rest.Call) error {
	key, err := a.workspaceKey(c, c.Parameters[0])
	if err != nil {
		return err
	}
	return a.usageOf(c, &key)
}

func (a *api) usageOf(c *rest.Call, key *ledger.Key) error {
	rows := key.Limits
	if !slices.ContainsFunc(rows, func(row limits.Row) bool { return row.Model == "" }) {
		rows = append([]limits.Row{{}}, rows...)
	}
	views := make([]usageView, 0, len(rows))
	for i := range rows {
		view, err := a.dayOf(c, key, &rows[i])
		if err != nil {
			return err
		}
		views = append(views, view)
	}
	c.JSON(http.StatusOK, views)
	return nil
}

// dayOf returns what a row of limits counts today.
func (a *api) dayOf(c *rest.Call, key *ledger.Key, row *limits.Row) (usageView, error) {
	state, err := a.Limiter.Inspect(c.Context(), limiter.Request{
		Key: key.ID, Owner: key.Owner, Model: row.Model, Rows: key.LimitsFor(nil, row.Model),
	})
	if err != nil {
		return usageView{}, err
	}
	view := usageView{AssetID: row.Model}
	for i := range state.Scopes {
		if state.Scopes[i].Model == row.Model {
			day := &state.Scopes[i].Day
			view.RequestCount, view.TokenCount = day.Requests, tokensOf(day, row.TokenType)
		}
	}
	if row.RPD > 0 {
		view.RequestCountLimit = &row.RPD
	}
	if row.TPD > 0 {
		view.TokenCountLimit = &row.TPD
	}
	return view, nil
}

// tokensOf returns the tokens that a limit of this type counts.
func tokensOf(sums *limiter.Sums, tokenType limits.TokenType) int64 {
	switch tokenType {
	case limits.Input:
		return sums.Input
	case limits.Output:
		return sums.Output
	default:
		return sums.Tokens
	}
}
