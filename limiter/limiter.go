package limiter

import (
	"time"

	"github.com/penstockhq/penstock/limits"
)

// Window is the length of the rolling window that RPM and TPM are counted in.
const Window = time.Minute

// Tokens is an amount of tokens by direction.
type Tokens struct {
	Input  int64
	Output int64
}

// Of returns the tokens that limits of type t count.
func (n Tokens) Of(t limits.TokenType) int64 {
	switch t {
	case limits.Input:
		return n.Input
	case limits.Output:
		return n.Output
	default:
		return n.Input + n.Output
	}
}

// Request asks for the admission of one call.
type Request struct {
	Key   string // public id of the key, never its secret; not empty
	Owner string // account of the key; a store on several servers keeps its keys together
	Model string // model that the call runs; empty if it runs none
	// Tokens is the upper bound that is reserved.
	Tokens Tokens
	// OutputStep, if above 0, lets the limiter lower Tokens.Output where the call
	// could never fit a token limit: by whole steps, to one step at least, and no
	// further than it must. A call of n answers with a common cap has a step of n.
	OutputStep int64
	// Rows are the limits that apply to this call: those of the key and those of
	// this Model. The limiter keeps no reference to the slice.
	Rows []limits.Binding
	// Timeout bounds how long the call may stay in flight: it sizes the retry
	// hint of a call that is refused by MaxInFlight.
	Timeout time.Duration
}

// Refusal says why a call was not admitted. Where several rules fail it names
// the one with the longest wait, so that RetryAfter covers all of them.
type Refusal struct {
	Rule      limits.Rule
	Model     string           // scope of the rule: empty for the whole key
	TokenType limits.TokenType // of the row that failed
	Limit     int64
	Used      int64 // weight in the window, reserved tokens included
	Needed    int64 // weight that the call asked for
	// RetryAfter is the wait after which the same call is admitted if no other
	// call comes before it: whole milliseconds, rounded up, at least 1 ms.
	RetryAfter time.Duration
	// Never is set when the call cannot fit even into an empty window
	// (Needed > Limit); RetryAfter is then 0.
	Never bool
	// Hint is set when RetryAfter is a guess, because one of the failing rules waits
	// for a call in flight, which may end at any time. For that rule RetryAfter is the
	// best estimate.
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
	Reserved Tokens  // set if Admitted; below what was asked for only with OutputStep
	Refusal  Refusal // set if not Admitted
	Requests Headroom
	Tokens   Headroom
}
