package middleware

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// Why the gate itself ends a call.
var (
	errDeadline = errors.New("the call ran into its time limit")
	errCredit   = errors.New("the credit ran out")
	errRevoked  = errors.New("the key was revoked")
	errNoAnswer = errors.New("the handler wrote no answer")
	errOverCap  = errors.New("the upstream produced more than it was asked for")
)

// chatPath is where translated calls go.
const chatPath = "/v1/chat/completions"

// chatCall is a call as the upstream of a translated one sees it.
var chatCall = func() dialect.Call {
	route, _ := dialect.Classify(http.MethodPost, chatPath)
	return dialect.Call{Route: route}
}()

// run hands the call to the next handler and settles it, whatever the ending. An
// abort panic of the handler passes through: swallowing it would turn a
// truncated answer into one that looks complete.
func (x *exchange) run(w http.ResponseWriter, r *http.Request, next http.Handler) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	x.context = callContext{Context: ctx, x: x}
	x.watch = watch{
		gate: x.gate, caller: &x.caller, request: &x.request, admission: &x.admission, feedback: &x.feedback,
	}
	x.reply = newReply(w, &x.request, &x.headers, &x.watch)
	x.reply.bodiless = r.Method == http.MethodHead
	request := x.upstreamRequest(r.WithContext(&x.context), w)
	x.watch.start(cancel)
	returned := false
	defer func() {
		x.watch.timer.Stop()
		x.finish(evidence{
			returned: returned, cause: context.Cause(ctx), clientGone: r.Context().Err() != nil,
			wall: x.gate.now().Sub(x.watch.dispatched), reserved: x.admission.reserved,
			most:   x.admission.most(x.gate, &x.request),
			custom: x.request.custom != nil, fixed: x.request.fixed(), noOutput: x.request.call.Route.Spec.NoOutput,
			unit:   x.request.model.counts(x.request.call.Route.Spec),
			images: x.request.call.Route.Spec.Makes == dialect.MakesImages,
		})
	}()
	next.ServeHTTP(&x.reply, request)
	returned = true
}

// upstreamRequest turns a copy of the request into the one that goes on.
func (x *exchange) upstreamRequest(request *http.Request, w http.ResponseWriter) *http.Request {
	request.Header = x.headers.forUpstream(request.Header)
	dropQueryKeys(request)
	x.headers.askPlain(request.Header)
	if x.request.custom != nil {
		if request.Body != nil && request.Body != http.NoBody {
			request.Body = http.MaxBytesReader(w, request.Body, x.gate.maxBody)
		}
		return request
	}
	if x.request.toChat() {
		target := *request.URL
		target.Path, target.RawPath, target.RawQuery = x.gate.prefix+chatPath, "", ""
		request.URL = &target
		request.RequestURI = (&url.URL{Path: target.Path}).RequestURI()
	}
	body := &x.request.body
	request.Body, _ = body.open()
	request.GetBody = body.open
	length := body.length()
	request.ContentLength = int64(length)
	request.TransferEncoding, request.Trailer = nil, nil
	x.headers.sendLength(request.Header, length)
	if !x.request.call.Route.IsForm() { // whose type names its boundary
		x.headers.sendJSON(request.Header)
	}
	delete(request.Header, "Content-Encoding")
	delete(request.Header, "Expect") // the gate read the body, which let the caller go on
	return request
}

// finish settles the call and gives the client the rest.
func (x *exchange) finish(seen evidence) {
	r := &x.reply
	told := x.feedback.facts()
	if seen.returned && !r.wrote && seen.cause == nil && told.failure == nil {
		x.answerNothing()
	}
	r.drain(seen.returned, told.usage != nil)
	// Not before: the last event of a stream may pass the cap, or make the hold grow.
	seen.reply, seen.facts = r.reading(), x.feedback.facts()
	seen.tellUpstream()
	end := decide(&seen)
	release(seen.facts.upstream.Observer, end.settlement.Quantity.OutputTokens)
	x.settle(&end, seen.wall)
	x.warn(&seen, &end)
	x.answer(&seen, &end)
	x.observe(&seen, &end)
	if r.passing() && seen.returned && end.outcome != ledger.OutcomeOK && end.outcome != ledger.OutcomeClientGone {
		panic(http.ErrAbortHandler) // a cut body must not look complete
	}
}

// answerNothing ends a call whose handler has written nothing. On a path with a
// fixed cost that is an empty answer, as net/http has it. On a model's path it
// means that no handler is configured: the call fails and is not charged.
func (x *exchange) answerNothing() {
	if x.request.custom != nil {
		x.reply.WriteHeader(http.StatusOK)
		return
	}
	x.feedback.fail(http.StatusBadGateway, errNoAnswer)
}

// observe reports to the observer how the call ended.
func (x *exchange) observe(seen *evidence, end *ending) {
	if x.gate.observer == nil {
		return
	}
	report, quantity := x.report(), &end.settlement.Quantity
	report.Upstream, report.Outcome, report.Status = seen.facts.upstream, end.outcome, x.reply.clientStatus
	report.UsageSource, report.Charge = end.settlement.Usage, end.charge
	report.InputTokens, report.OutputTokens = quantity.InputTokens, quantity.OutputTokens
	report.CutInputTokens, report.CutOutputTokens = end.cut.Input, end.cut.Output
	report.CachedTokens, report.Compute = quantity.CachedTokens, quantity.Duration
	if !x.reply.firstByte.IsZero() {
		report.FirstByte = x.reply.firstByte.Sub(x.watch.dispatched)
	}
	x.gate.observer.Observe(report)
}
