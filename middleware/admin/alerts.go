package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/penstockhq/penstock/alerts"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// Levels is the source of the levels that alerts are about: how much of its limits a key
// has used up. It is safe for concurrent use.
type Levels struct {
	ledger interface {
		Key(id string) (ledger.Key, bool)
		Account(id string) (ledger.Account, bool)
	}
	limiter Limiter
	now     func() time.Time
}

// NewLevels returns the levels of a ledger's keys and accounts, and of the day
// limits that a limiter counts. now is the wall clock; nil is that of the system.
func NewLevels(accounts Ledger, counters Limiter, now func() time.Time) *Levels {
	if now == nil {
		now = time.Now
	}
	return &Levels{ledger: accounts, limiter: counters, now: now}
}

// Levels implements alerts.Source.
func (l *Levels) Levels(ctx context.Context, keyID, model string) ([]alerts.Level, error) {
	key, ok := l.ledger.Key(keyID)
	if !ok {
		return nil, nil
	}
	state, err := l.limiter.Inspect(ctx, limiter.Request{Key: keyID, Owner: key.Owner, Model: model, Rows: key.LimitsFor(nil, model)})
	if err != nil {
		return nil, err
	}
	var levels []alerts.Level
	for i := range state.Scopes {
		levels = append(levels, l.days(&key, &state.Scopes[i])...)
	}
	if key.HasBudget && key.Budget > 0 {
		levels = append(levels, alerts.Level{
			Type: alerts.Budget, Account: key.Owner, KeyID: keyID, Used: int64(key.Spent), Limit: int64(key.Budget),
		})
	}
	if account, ok := l.ledger.Account(key.Owner); ok {
		if ever := account.Available + account.Held + account.Spent; ever > 0 {
			levels = append(levels, alerts.Level{
				Type: alerts.Balance, Account: key.Owner, Used: int64(account.Spent), Limit: int64(ever),
				// What was ever put in changes with each top-up.
				Period: strconv.FormatInt(int64(ever), 10),
			})
		}
	}
	return levels, nil
}

// days returns the levels of a scope's limits per day.
func (l *Levels) days(key *ledger.Key, scope *limiter.ScopeState) (levels []alerts.Level) {
	// The middle of the limiter's day has that day's date in nearly every zone.
	day := l.now().UTC().Add(scope.DayEnds - 12*time.Hour).Format(time.DateOnly)
	for _, limit := range scope.Limits {
		level := alerts.Level{
			Account: key.Owner, KeyID: key.ID, Model: scope.Model, Period: day, Used: limit.Used, Limit: limit.Limit,
		}
		switch limit.Rule {
		case limits.RPD:
			level.Type = alerts.DailyRequests
		case limits.TPD:
			level.Type, level.TokenType = alerts.DailyTokens, limit.TokenType.String()
		default:
			continue
		}
		levels = append(levels, level)
	}
	return levels
}

// Alerts lists the last alerts; *alerts.Monitor implements it.
type Alerts interface {
	Recent(limit int) []alerts.Alert
	Thresholds() []int
}

// WithAlerts serves the last alerts at /admin/v1/alerts.
func WithAlerts(list Alerts) Option {
	return func(s *settings) { s.alerts = list }
}

// listAlerts shows the last alerts about what the caller manages, newest first.
func (h *Handler) listAlerts(c *rest.Call) error {
	q, err := c.Query()
	if err != nil {
		return err
	}
	limit := int(q.Integer("limit", 100, 1, rest.MaxPage))
	owner := q.Text("owner")
	if err := q.Done(); err != nil {
		return err
	}
	if owner, err = h.managedOwner(c, owner); err != nil {
		return err
	}
	list := make([]alerts.Alert, 0, limit)
	for _, alert := range h.alerts.Recent(rest.MaxPage) {
		if len(list) < limit && (owner == "" || alert.Account == owner) {
			list = append(list, alert)
		}
	}
	c.JSON(http.StatusOK, alertPage{h.alerts.Thresholds(), list})
	return nil
}

// alertPage is the reply of the list of alerts.
type alertPage struct {
	Thresholds []int          `json:"thresholds_percent"`
	Alerts     []alerts.Alert `json:"alerts"`
}
