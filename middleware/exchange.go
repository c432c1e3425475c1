package middleware

import (
	"net/http"
	"sync"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// exchange is one request on its way through the gate. Its parts are filled from
// top to bottom; nothing above is changed once what is below it is known.
type exchange struct {
	gate      *Gate
	arrived   time.Time
	requestID string
	kind      dialect.Kind // shape of errors

	key    ledger.Key
	custom *customPath // set on a path that the operator named

	call         dialect.Call
	received     []byte // body as it came
	body         []byte // body as it goes to the upstream
	model        Model
	outputCap    int64 // tokens of one answer
	capByDefault bool  // outputCap is not the caller's wish

	decision limiter.Decision
	hold     ledger.Hold
	worst    ledger.Quantity // what the hold covers
	reserved limiter.Tokens  // what the limiter has set aside
	deadline time.Time

	dispatched time.Time
	firstByte  time.Time

	// What handlers, policies and timers tell, from their own goroutines.
	mutex         sync.Mutex
	upstream      Upstream
	reported      *Usage
	failure       error
	failureStatus int
	soFar         ledger.Quantity // of a running stream, for checkpoints
	settled       bool
	charge        ledger.Charge
}

// info is what others may know of the call.
func (x *exchange) info() Call {
	upstreamModel := x.model.UpstreamName
	if upstreamModel == "" {
		upstreamModel = x.model.Name
	}
	call := Call{
		RequestID: x.requestID, KeyID: x.key.ID, Owner: x.key.Owner, Model: x.model.Name, UpstreamModel: upstreamModel,
		Operation: x.call.Route.Operation.String(), Stream: x.call.Stream,
		InputTokens: x.reserved.Input, OutputTokens: x.reserved.Output, Deadline: x.deadline,
	}
	if !x.call.Route.Translated() {
		call.Prompt = x.call.Prompt(x.received)
	} else {
		call.Prompt = x.body
	}
	return call
}

// setLimitHeaders tells the client what is left of its limits, in the vendors'
// forms. Before the decision there is nothing to tell.
func (x *exchange) setLimitHeaders(header http.Header) {
	setHeadroom(header, x.kind, roomRequests, x.decision.Requests, x.gate.now)
	setHeadroom(header, x.kind, roomTokens, x.decision.Tokens, x.gate.now)
}
