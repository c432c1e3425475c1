package middleware

import (
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// Report is what happened to a call.
type Report struct {
	RequestID string
	KeyID     string // empty if the key is unknown
	Owner     string
	Model     string // empty if it is not known
	Operation string // class of the path
	Upstream  Upstream
	// Refused is true if the gate itself refused the call, before any upstream.
	Refused bool
	Reason  string // of a refusal: the error's code
	Rule    string // of a refusal by a limit or for credit: rpm, tpm, ..., balance, budget
	Outcome ledger.Outcome
	Status  int // sent to the client; 0 if it left before
	Stream  bool
	// Usage and the figures below are those of the settlement.
	UsageSource  ledger.UsageSource
	InputTokens  int64
	CachedTokens int64
	OutputTokens int64
	Charge       ledger.Charge
	Compute      time.Duration // that was charged
	FirstByte    time.Duration // from dispatch to the upstream's first byte; 0: none came
	Total        time.Duration // from the request's arrival to the end
}

// Refused is a refusal on its way to the client.
type Refused struct {
	Refusal   dialect.Refusal
	Dialect   dialect.Name
	Status    int
	RequestID string
	KeyID     string
}
