package middleware

import (
	"net/http"
	"sync"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// exchange is one request on its way through the gate. Its parts are filled from
// top to bottom; nothing above is changed once what is below it is known.
type exchange struct {
	gate      *Gate
	arrived   time.Time
	requestID string
	kind      dialect.Kind // shape of errors

	caller caller
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

	bodyMutex sync.Mutex // of received and body, which transports read on their own
	rewritten bool       // body is not received
	dropped   bool       // the bodies are gone
	later     bool       // the call goes on in the background when Serve returns

	// Parts that live as long as the call, here so that they are one piece of memory.
	context     callContext
	watch       watch
	reply       reply
	rows        [2]limits.Binding // of the key, for all models and for this one
	ownValues   [3]string         // values of headers
	idValue     [1]string
	chargeValue [1]string
	lengthValue [1]string
	limitValues [2][3]string

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
	call := Call{
		RequestID: x.requestID, KeyID: x.caller.key.ID, Owner: x.caller.key.Owner, Model: x.model.Name, UpstreamModel: x.model.upstream(),
		Operation: x.call.Route.Operation.String(), Stream: x.call.Stream,
		InputTokens: x.reserved.Input, OutputTokens: x.reserved.Output, Deadline: x.deadline,
	}
	x.bodyMutex.Lock()
	defer x.bodyMutex.Unlock()
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
	x.setHeadroom(header, roomRequests, &x.decision.Requests)
	x.setHeadroom(header, roomTokens, &x.decision.Tokens)
}
