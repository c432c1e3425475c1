package alerts

import (
	"context"
	"time"
)

// Type is what runs out.
type Type string

// The types of alerts.
const (
	// DailyRequests is a limit of requests per day.
	DailyRequests Type = "requests_per_day"
	// DailyTokens is a limit of tokens per day.
	DailyTokens Type = "tokens_per_day"
	// Budget is what a key may ever spend, in micro-credits.
	Budget Type = "budget"
	// Balance is the credit of an account, in micro-credits. An alert says what was
	// spent of what there was after the last top-up, or when the account was first
	// looked at. A level has Used = spent since the account was made, Limit = paid in
	// since then, and Limit again as Period.
	Balance Type = "balance"
	// Exhausted is a budget or balance that refuses calls: what is left of it covers no
	// more of them, whatever share was used.
	Exhausted Type = "exhausted"
)

// Level is how much of a limit is used up now.
type Level struct {
	Type    Type
	Account string
	KeyID   string // empty for a balance
	Model   string // empty: the whole key
	// TokenType distinguishes the limits of one model: total, input or output.
	TokenType string
	// Period names the window that Used counts in, for example 2026-01-31. A new
	// period begins with no threshold crossed. Empty: Used never goes back to zero.
	Period string
	Used   int64
	Limit  int64 // above 0: a source leaves other levels out
}

// percent returns the used part of the limit in whole percent, rounded down.
func (l *Level) percent() int {
	switch {
	case l.Limit <= 0:
		return 100 // nothing is left to use
	case l.Used <= 0:
		return 0
	}
	// Limits reach 2^53: dividing first keeps the product in range.
	whole, rest := l.Used/l.Limit, l.Used%l.Limit
	if whole >= 10 {
		return 1000
	}
	return int(whole*100 + rest*100/l.Limit)
}

// Alert says that a level has crossed a threshold.
type Alert struct {
	ID        string    `json:"id"` // the same for each attempt to deliver it
	At        time.Time `json:"at"`
	Type      Type      `json:"kind"`
	Threshold int       `json:"threshold_percent"` // 0: Exhausted has none
	Account   string    `json:"account"`
	KeyID     string    `json:"key_id,omitempty"`
	Model     string    `json:"model,omitempty"`
	TokenType string    `json:"token_type,omitempty"`
	Period    string    `json:"period,omitempty"`
	Used      int64     `json:"used"`
	Limit     int64     `json:"limit"`
	// Of says what is Exhausted: Budget or Balance.
	Of Type `json:"of,omitempty"`
	// Needed is the credit that the refused call would have held, in micro-credits.
	Needed int64 `json:"needed,omitempty"`
}

// Sink receives alerts. Deliver must not block: a sink that waits for a network has a
// queue of its own.
type Sink interface {
	Deliver(Alert)
}

// SinkFunc makes a function a Sink, for example one that counts a metric or
// emits an event of the server.
type SinkFunc func(Alert)

// Deliver implements Sink.
func (f SinkFunc) Deliver(alert Alert) { f(alert) }

// Source knows the levels of a key and of the account that pays for it.
type Source interface {
	// Levels returns every level that a call of this key to this model may have
	// moved.
	Levels(ctx context.Context, keyID, model string) ([]Level, error)
}
