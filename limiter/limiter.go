// Package limiter holds callers to exact limits: requests and tokens in every
// rolling 60-second window, requests and tokens per civil day, and calls in
// flight, for a key and for a key's use of one model, all or nothing.
//
// A call reserves an upper bound of its tokens when it is admitted and settles
// to what it really used when it ends. Limits are arguments of each call, not
// state, so that a changed limit acts on the windows as they stand.
//
// The package knows no HTTP and no money.
package limiter

import "time"

// Window is the length of the rolling window that RPM and TPM are counted in.
const Window = time.Minute

// TokenType says which tokens the token limits of a row count.
type TokenType uint8

const (
	// TokensTotal counts input and output tokens together. It is the default.
	TokensTotal TokenType = iota
	// TokensInput counts prompt tokens only.
	TokensInput
	// TokensOutput counts generated tokens only.
	TokensOutput
)

// String returns "total", "input" or "output", the words used on the wire.
func (t TokenType) String() string {
	switch t {
	case TokensInput:
		return "input"
	case TokensOutput:
		return "output"
	default:
		return "total"
	}
}

// Tokens is an amount of tokens by direction.
type Tokens struct {
	Input  int64
	Output int64
}

// Of returns the tokens that limits of type t count.
func (n Tokens) Of(t TokenType) int64 {
	switch t {
	case TokensInput:
		return n.Input
	case TokensOutput:
		return n.Output
	default:
		return n.Input + n.Output
	}
}

// Limits is one row of limits. A zero field sets no limit; negative fields are
// an error.
type Limits struct {
	RPM         int64 // requests admitted in any rolling 60 s
	TPM         int64 // tokens in any rolling 60 s
	RPD         int64 // requests in a civil day
	TPD         int64 // tokens in a civil day
	MaxInFlight int64 // calls running at the same time
	TokenType   TokenType
}

// Row attaches limits to a scope: the whole key (Model is empty) or the key's
// use of one model. A scope may have several rows, for example one for input
// and one for output tokens; all of them bind.
type Row struct {
	Model  string
	Limits Limits
	// Previous, if not nil, is what the limits were before ChangedAt. Minute
	// limits (and MaxInFlight) stay at Previous until the next full minute after
	// ChangedAt, day limits until the next midnight. Nil: Limits act now.
	Previous  *Limits
	ChangedAt time.Time
}

// Request asks for the admission of one call.
type Request struct {
	Key   string // public id of the key, never its secret
	Model string // model that the call runs; empty if it runs none
	// Tokens is the upper bound that is reserved.
	Tokens Tokens
	// Rows are the limits that apply to this call: those of the key and those of
	// this Model. The limiter keeps no reference to the slice.
	Rows []Row
	// Timeout bounds how long the call may stay in flight: it sizes the retry
	// hint of a call that is refused by MaxInFlight.
	Timeout time.Duration
}

// Rule names one limit of a row.
type Rule uint8

// The rules, in the order of the fields of Limits.
const (
	RuleNone Rule = iota
	RuleRPM
	RuleTPM
	RuleRPD
	RuleTPD
	RuleMaxInFlight
)

// String returns the rule's wire name: rpm, tpm, rpd, tpd or max_in_flight.
func (r Rule) String() string {
	return [...]string{"none", "rpm", "tpm", "rpd", "tpd", "max_in_flight"}[min(r, RuleMaxInFlight)]
}

// Refusal says why a call was not admitted. Where several rules fail it names
// the one with the longest wait, so that RetryAfter covers all of them.
type Refusal struct {
	Rule      Rule
	Model     string    // scope of the rule: empty for the whole key
	TokenType TokenType // of the row that failed
	Limit     int64
	Used      int64 // weight in the window, reserved tokens included
	Needed    int64 // weight that the call asked for
	// RetryAfter is the wait after which the same call is admitted if no other
	// call comes before it: whole milliseconds, rounded up, at least 1 ms.
	RetryAfter time.Duration
	// Never is set when the call cannot fit even into an empty window
	// (Needed > Limit); RetryAfter is then 0.
	Never bool
	// Hint is set when RetryAfter is a guess, because a call in flight may end at
	// any time.
	Hint bool
}

// Headroom is the state of the tightest minute limit of one kind after a
// decision, for rate-limit headers. Limit 0 means that no such limit is set.
type Headroom struct {
	Limit     int64
	Remaining int64         // never negative
	Reset     time.Duration // until the window is empty again if nothing more comes
}

// Decision is the answer to a Request.
type Decision struct {
	Admitted bool
	Handle   Handle  // set if Admitted
	Refusal  Refusal // set if not Admitted
	Requests Headroom
	Tokens   Headroom
}
