package aixplain

import (
	"net/http"
	"slices"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware"
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
	limits := key.Limits
	if !slices.ContainsFunc(limits, func(row ledger.Limits) bool { return row.Model == "" }) {
		limits = append([]ledger.Limits{{}}, limits...)
	}
	rows := make([]usageView, 0, len(limits))
	for i := range limits {
		row, err := a.dayOf(c, key, &limits[i])
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	c.JSON(http.StatusOK, rows)
	return nil
}

// dayOf returns what a row of limits counts today.
func (a *api) dayOf(c *rest.Call, key *ledger.Key, limits *ledger.Limits) (usageView, error) {
	usage, err := a.Limiter.Usage(c.Context(), limiter.Request{
		Key: key.ID, Model: limits.Model, Rows: middleware.LimitRows(key, limits.Model),
	})
	if err != nil {
		return usageView{}, err
	}
	row := usageView{AssetID: limits.Model}
	for i := range usage.Scopes {
		if usage.Scopes[i].Model == limits.Model {
			day := &usage.Scopes[i].Day
			row.RequestCount, row.TokenCount = day.Requests, tokensOf(day, limits.TokenType)
		}
	}
	if limits.RPD > 0 {
		row.RequestCountLimit = &limits.RPD
	}
	if limits.TPD > 0 {
		row.TokenCountLimit = &limits.TPD
	}
	return row, nil
}

// tokensOf returns the tokens that a limit of this type counts.
func tokensOf(sums *limiter.Sums, tokenType string) int64 {
	switch tokenType {
	case "input":
		return sums.Input
	case "output":
		return sums.Output
	default:
		return sums.Tokens
	}
}
