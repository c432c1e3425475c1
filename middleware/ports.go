package middleware

import (
	"context"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// Limiter is what the gate needs of a limiter. Implementations are safe for
// concurrent use.
type Limiter interface {
	// Reserve admits a call or refuses it; a refusal changes nothing. The error is
	// for a limiter that cannot decide (bad limits, store away), not for a refusal.
	// Decision.Reserved says what was reserved: less output than asked for only
	// where the request has an OutputStep, and then by whole steps.
	Reserve(ctx context.Context, request limiter.Request) (limiter.Decision, error)
	// Settle replaces the reserved tokens by the actual ones and ends the call in
	// flight. A handle acts once: a second Settle or Cancel changes nothing and
	// returns limiter.ErrResolved.
	Settle(ctx context.Context, handle limiter.Handle, actual limiter.Tokens) error
	// Cancel takes the reservation back, the request count included: for a call
	// that was admitted here but refused elsewhere before it ran.
	Cancel(ctx context.Context, handle limiter.Handle) error
}

// Ledger is what the gate needs of a ledger. Implementations are safe for
// concurrent use.
type Ledger interface {
	// Authenticate returns the key whose text this is. Unknown, malformed, expired
	// and revoked keys all give ledger.ErrUnknownKey.
	Authenticate(text string) (ledger.Key, error)
	// Hold sets credit aside for what a call is likely to cost. It does not wait for a
	// disk. A *ledger.CreditError says what is missing; ledger.ErrUnavailable means
	// that nothing can be admitted now.
	Hold(ctx context.Context, request ledger.HoldRequest) (ledger.Hold, error)
	// Extend raises a hold so that it covers that quantity in all.
	Extend(ctx context.Context, id ledger.HoldID, covered ledger.Quantity) (ledger.Hold, error)
	// Checkpoint records what a running stream has consumed so far. It never waits.
	Checkpoint(id ledger.HoldID, soFar ledger.Quantity) error
	// Settle charges what a call consumed and returns when the charge is durable.
	// ledger.ErrResolved: the hold was resolved before, nothing was charged now.
	Settle(ctx context.Context, id ledger.HoldID, settlement ledger.Settlement) (ledger.Charge, error)
	// Void gives a hold back without a charge.
	Void(ctx context.Context, id ledger.HoldID, outcome ledger.Outcome) error
}

// KeyLookup is a ledger that knows keys by their public id.
type KeyLookup interface {
	Key(id string) (key ledger.Key, ok bool)
}

// pricer is a ledger whose prices can be set.
type pricer interface {
	SetPrice(ctx context.Context, model string, price ledger.Price) error
}

// Observer receives a report of each metered call once it is over, finished or
// refused. Lists of models, polls and unmetered paths cost nothing and are reported
// only if they are refused. Implementations must not block and are safe for
// concurrent use.
type Observer interface {
	Observe(Report)
}

// Report is what happened to a call.
type Report struct {
	RequestID string
	// ClientRequestID is the id that the client gave to its request, at most 128 bytes, for
	// logs. It may be anybody's, and the same for many requests. Empty: there is none.
	ClientRequestID string
	KeyID           string // empty if the key is unknown
	Owner           string
	Model           string // empty if it is not known
	Operation       string // class of the path
	Upstream        Upstream
	// Refused is true if the gate itself refused the call, before any upstream.
	Refused bool
	Reason  string // of a refusal: the error's code
	Rule    string // of a refusal by a limit or for credit: rpm, tpm, ..., balance, budget
	Needed  int64  // by the refused call, in what the rule counts
	Outcome ledger.Outcome
	Status  int // sent to the client; 0 if it left before
	Stream  bool
	// Usage and the figures below are those of the settlement.
	UsageSource  ledger.UsageSource
	InputTokens  int64
	CachedTokens int64
	OutputTokens int64
	// CutInputTokens and CutOutputTokens are what an upstream that is not trusted
	// reported beyond what the call can have used. They are neither charged nor part
	// of the figures above.
	CutInputTokens  int64
	CutOutputTokens int64
	Charge          ledger.Charge
	Compute         time.Duration // that was charged
	FirstByte       time.Duration // from dispatch to the upstream's first byte; 0: none came
	Total           time.Duration // from the request's arrival to the end
}

// Refused is a refusal on its way to the client.
type Refused struct {
	Refusal   dialect.Refusal
	Dialect   dialect.Name
	Status    int
	RequestID string
	// ClientRequestID is the id that the client gave to its request, for logs; see Report.
	ClientRequestID string
	KeyID           string
}
