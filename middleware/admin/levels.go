package admin

import (
	"context"
	"strconv"
	"time"

	"github.com/penstockhq/penstock/alerts"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware"
)

// Levels tells alerts how much of its limits a key has used up. It is safe for
// concurrent use.
type Levels struct {
	ledger interface {
		Key(id string) (ledger.Key, bool)
		Account(id string) (ledger.Account, bool)
	}
	limiter Limiter
	now     func() time.Time
}

// NewLevels returns the levels of a ledger's keys and accounts, and of the day
// limits that a limiter counts. now is the wall clock; nil: that of the system.
func NewLevels(keys Ledger, limits Limiter, now func() time.Time) *Levels {
	if now == nil {
		now = time.Now
	}
	return &Levels{ledger: keys, limiter: limits, now: now}
}

// Levels implements alerts.Source.
func (l *Levels) Levels(ctx context.Context, keyID, model string) ([]alerts.Level, error) {
	key, ok := l.ledger.Key(keyID)
	if !ok {
		return nil, nil
	}
	usage, err := l.limiter.Usage(ctx, limiter.Request{Key: keyID, Model: model, Rows: middleware.LimitRows(&key, model)})
	if err != nil {
		return nil, err
	}
	var levels []alerts.Level
	for i := range usage.Scopes {
		levels = append(levels, l.days(&key, &usage.Scopes[i])...)
	}
	if key.HasBudget && key.Budget > 0 {
		levels = append(levels, alerts.Level{
			Kind: alerts.Budget, Account: key.Owner, KeyID: keyID, Used: int64(key.Spent), Limit: int64(key.Budget),
		})
	}
	if account, ok := l.ledger.Account(key.Owner); ok {
		if ever := account.Available + account.Held + account.Spent; ever > 0 {
			levels = append(levels, alerts.Level{
				Kind: alerts.Balance, Account: key.Owner, Used: int64(account.Spent), Limit: int64(ever),
				// What was ever put in changes with each top-up.
				Period: strconv.FormatInt(int64(ever), 10),
			})
		}
	}
	return levels, nil
}

// days returns the levels of a scope's limits per day.
func (l *Levels) days(key *ledger.Key, scope *limiter.ScopeUsage) (levels []alerts.Level) {
	// The middle of the limiter's day has that day's date in nearly every zone.
	day := l.now().UTC().Add(scope.DayEnds - 12*time.Hour).Format(time.DateOnly)
	for _, limit := range scope.Limits {
		level := alerts.Level{
			Account: key.Owner, KeyID: key.ID, Model: scope.Model, Period: day, Used: limit.Used, Limit: limit.Limit,
		}
		switch limit.Rule {
		case limiter.RuleRPD:
			level.Kind = alerts.DailyRequests
		case limiter.RuleTPD:
			level.Kind, level.TokenType = alerts.DailyTokens, limit.TokenType.String()
		default:
			continue
		}
		levels = append(levels, level)
	}
	return levels
}
