package middleware

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// feedback is what handlers, policies and timers report of a running call, from
// goroutines of their own. Everything in it is read and written under its mutex.
type feedback struct {
	mutex sync.Mutex
	known facts
}

// facts are what feedback knows.
type facts struct {
	upstream      Upstream
	usage         *Usage // as the handler reported it
	failure       error
	failureStatus int
	produced      ledger.Quantity // so far, for the checkpoints of a stream
	covered       ledger.Quantity // what the hold covers by now
	settled       bool
	charge        ledger.Charge
}

// facts returns what is known now.
func (f *feedback) facts() facts {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.known
}

// fail notes why there is no answer.
func (f *feedback) fail(status int, err error) {
	f.mutex.Lock()
	f.known.failure, f.known.failureStatus = err, status
	f.mutex.Unlock()
}

// settle notes what the call was charged.
func (f *feedback) settle(charge ledger.Charge) {
	f.mutex.Lock()
	f.known.settled, f.known.charge = true, charge
	f.mutex.Unlock()
}

// Call describes a call to the handler or selection policy that serves it.
type Call struct {
	RequestID string
	// ClientRequestID is the id that the client gave to its request, for logs; see Report.
	ClientRequestID string
	KeyID           string // public id of the caller's key
	Owner           string // account that pays
	Model           string // as the caller named it
	UpstreamModel   string // as the upstreams name it
	Operation       string // class of the path, for example chat
	Stream          bool
	InputTokens     int64 // estimate
	OutputTokens    int64 // upper limit of all answers together
	Deadline        time.Time
	// Prompt is the part of the request's body that holds the prompt, as it goes
	// to the upstream. It is shared, must not be changed, and must not be kept: when
	// the handler has returned, its memory serves other calls.
	Prompt []byte
}

// CallFrom returns the call that a request's context belongs to. It is false
// outside the gate and on paths that are not metered.
func CallFrom(ctx context.Context) (Call, bool) {
	x := exchangeFrom(ctx)
	if x == nil {
		return Call{}, false
	}
	return x.info(), true
}

// Usage is what a call consumed, as a handler reports it.
type Usage struct {
	InputTokens  int64
	CachedTokens int64 // the part of InputTokens that was cached
	OutputTokens int64
	// Duration is the compute time. 0: the time that the handler ran.
	Duration time.Duration
}

// ReportUsage reports what the call of this context consumed. It replaces what the
// gate reads from the reply; the last report counts. It is believed like that of a
// trusted upstream, but on a path of WithMetered not beyond the upper limit that was
// named there. Report before the handler returns. Outside the gate it does nothing.
func ReportUsage(ctx context.Context, usage Usage) {
	if x := exchangeFrom(ctx); x != nil {
		x.feedback.mutex.Lock()
		x.feedback.known.usage = &usage
		x.feedback.mutex.Unlock()
	}
}

// Upstream is a server that was chosen for a call.
type Upstream struct {
	Address string
	Kind    string // vllm, sglang, llamacpp, ollama, tgi, openai or penstock
	// Trusted says that its figures are believed. Its X-Inference-Ms replaces the time
	// that the gate measured, but never exceeds it. The tokens that it reports are
	// charged even where they exceed what the call asked for, as far as balance and
	// budget reach.
	Trusted bool
	// Observer is told how the attempt went. It may be an UpstreamLease. Default: nobody.
	Observer UpstreamObserver
}

// UpstreamObserver learns how one upstream serves its calls. At most one of its methods is
// called for an attempt, and none if the caller left or the gate ended the call before the
// upstream answered. It must be quick and safe for concurrent use.
type UpstreamObserver interface {
	// Answered says that the upstream is alive: it answered, whatever it said.
	Answered()
	// Failed says that the upstream was not reached, died, or answered with 502, 503
	// or 504: a call elsewhere might succeed.
	Failed()
	// Busy says that the upstream is alive but wants no call for a while.
	Busy(wait time.Duration)
}

// UpstreamLease is an UpstreamObserver that counts what a call takes of its upstream. The gate
// calls Release once for each attempt that was noted, after everything else, however the attempt
// ended. The lease may then serve another call.
type UpstreamLease interface {
	UpstreamObserver
	// FirstByte says that the first byte of an answer arrived, so that the upstream has
	// computed the prompt. It is not called for answers that are errors.
	FirstByte()
	// Release says that the attempt is over, and how many tokens of an answer came of it.
	Release(outputTokens int64)
}

// release ends the lease of an attempt, if its observer is one.
func release(observer UpstreamObserver, outputTokens int64) {
	if lease, ok := observer.(UpstreamLease); ok {
		lease.Release(outputTokens)
	}
}

// firstByte tells the lease of the attempt that the answer begins.
func (f *feedback) firstByte() {
	f.mutex.Lock()
	lease, ok := f.known.upstream.Observer.(UpstreamLease)
	f.mutex.Unlock()
	if ok {
		lease.FirstByte()
	}
}

// NoteUpstream reports which upstream a call goes to. A policy calls it for each
// attempt; the last one counts. Outside the gate it does nothing, and returns false: then
// nobody releases a lease.
func NoteUpstream(ctx context.Context, upstream Upstream) bool {
	x := exchangeFrom(ctx)
	if x == nil {
		return false
	}
	x.feedback.mutex.Lock()
	before := x.feedback.known.upstream.Observer
	x.feedback.known.upstream = upstream
	x.feedback.mutex.Unlock()
	if before != upstream.Observer {
		release(before, 0)
	}
	return true
}

// NoteRetry reports that another upstream is about to be chosen for a call. It returns
// the one that was noted last, which therefore failed; the first time it does nothing
// and returns the zero value, as it does outside the gate.
func NoteRetry(ctx context.Context) Upstream {
	x := exchangeFrom(ctx)
	if x == nil {
		return Upstream{}
	}
	x.feedback.mutex.Lock()
	failed := x.feedback.known.upstream
	x.feedback.known.upstream.Observer = nil // it is told now, and only once
	x.feedback.mutex.Unlock()
	if failed.Observer != nil {
		failed.Observer.Failed()
		release(failed.Observer, 0)
	}
	return failed
}

// tellUpstream tells the observer of the upstream how the call went there.
func (e *evidence) tellUpstream() {
	observer := e.facts.upstream.Observer
	if observer == nil {
		return
	}
	switch {
	case e.clientGone || e.cause != nil:
		if e.reply.produced {
			observer.Answered()
		}
	case !e.returned || !e.reply.wrote || e.facts.failure != nil || unavailable(e.reply.status):
		observer.Failed()
	case e.reply.status == http.StatusTooManyRequests && e.reply.retryAfter > 0:
		observer.Busy(e.reply.retryAfter)
	default:
		observer.Answered()
	}
}

// unavailable says that a status means that the server cannot serve now.
func unavailable(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// ReportFailure reports that the handler could not answer and wrote nothing: no
// upstream was reached, or it failed. status is what the handler would answer,
// 502, 503 or 504. The gate then answers in the caller's dialect, and nothing is
// charged. Outside the gate it does nothing and returns false.
func ReportFailure(ctx context.Context, status int, err error) bool {
	x := exchangeFrom(ctx)
	if x == nil {
		return false
	}
	x.feedback.fail(status, err)
	return true
}

// Charged returns what the call of this context was charged, once it is settled.
func Charged(ctx context.Context) (ledger.Micro, bool) {
	x := exchangeFrom(ctx)
	if x == nil {
		return 0, false
	}
	known := x.feedback.facts()
	return known.charge.Amount, known.settled
}
