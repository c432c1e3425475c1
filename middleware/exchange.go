package middleware

import (
	"context"
	"time"
)

// exchange holds the parts of one call in a single allocation, in the order in
// which they are filled. No part changes what an earlier one has found.
type exchange struct {
	gate    *Gate
	arrived time.Time

	caller    caller
	request   request
	admission admission
	watch     watch
	reply     reply
	feedback  feedback

	headers headers
	context callContext
	later   bool // the call goes on in the background when Serve returns
}

type contextKey struct{}

// callContext is the context of a call.
type callContext struct {
	context.Context
	x *exchange
}

// Value implements context.Context.
func (c *callContext) Value(key any) any {
	if key == (contextKey{}) {
		return c.x
	}
	return c.Context.Value(key)
}

// exchangeFrom returns the call that a context belongs to, or nil if it belongs to none.
func exchangeFrom(ctx context.Context) *exchange {
	x, _ := ctx.Value(contextKey{}).(*exchange)
	return x
}

// info describes the call to handlers and policies.
func (x *exchange) info() Call {
	return Call{
		RequestID: x.request.id, ClientRequestID: x.request.client, KeyID: x.caller.key.ID, Owner: x.caller.key.Owner,
		Model: x.request.model.Name, UpstreamModel: x.request.model.upstream(),
		Operation: x.request.call.Route.Class(), Stream: x.request.call.Stream,
		InputTokens: x.admission.reserved.Input, OutputTokens: x.admission.reserved.Output,
		Deadline: x.admission.deadline, Prompt: x.request.prompt(),
	}
}

// report returns a Report with the fields that every call has.
func (x *exchange) report() Report {
	return Report{
		RequestID: x.request.id, ClientRequestID: x.request.client, KeyID: x.caller.key.ID, Owner: x.caller.key.Owner, Model: x.request.model.Name,
		Operation: x.request.call.Route.Class(), Stream: x.request.call.Stream,
		Total: x.gate.now().Sub(x.arrived),
	}
}
