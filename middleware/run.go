package middleware

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// Why the gate itself ends a call.
var (
	errDeadline = errors.New("the call ran into its time limit")
	errCredit   = errors.New("the credit ran out")
	errRevoked  = errors.New("the key was revoked")
	errNoAnswer = errors.New("the handler wrote no answer")
)

// chatPath is where translated calls go.
const chatPath = "/v1/chat/completions"

// run hands the call to the next handler and settles it, whatever the ending. An
// abort panic of the handler passes through: swallowing it would turn a
// truncated answer into one that looks complete.
func (x *exchange) run(w http.ResponseWriter, r *http.Request, next http.Handler) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	x.context = callContext{Context: ctx, x: x}
	x.reply = newReply(x, w)
	reply := &x.reply
	reply.bodiless = r.Method == http.MethodHead
	request := x.upstreamRequest(r.WithContext(&x.context), w)
	x.dispatched = x.gate.now()
	x.watch.start(x, cancel)
	returned := false
	defer func() {
		x.watch.timer.Stop()
		x.finish(reply, ending{returned: returned, cause: context.Cause(ctx), clientGone: r.Context().Err() != nil})
	}()
	next.ServeHTTP(reply, request)
	returned = true
}

// upstreamRequest turns a copy of the request into the one that goes on.
func (x *exchange) upstreamRequest(request *http.Request, w http.ResponseWriter) *http.Request {
	request.Header = upstreamHeader(request.Header)
	// A packed reply could not be read on the way without unpacking it.
	x.ownValues = [...]string{"identity", "application/json", strconv.Itoa(len(x.body))}
	request.Header["Accept-Encoding"] = x.ownValues[0:1:1]
	if x.custom != nil {
		if request.Body != nil && request.Body != http.NoBody {
			request.Body = http.MaxBytesReader(w, request.Body, x.gate.maxBody)
		}
		return request
	}
	if x.call.Route.Translated() {
		target := *request.URL
		target.Path, target.RawPath, target.RawQuery = chatPath, "", ""
		request.URL = &target
		request.RequestURI = (&url.URL{Path: chatPath}).RequestURI()
	}
	request.Body, _ = x.openBody()
	request.GetBody = x.openBody
	request.ContentLength = int64(len(x.body))
	request.TransferEncoding, request.Trailer = nil, nil
	request.Header["Content-Type"] = x.ownValues[1:2:2]
	request.Header["Content-Length"] = x.ownValues[2:3:3]
	delete(request.Header, "Content-Encoding")
	delete(request.Header, "Expect") // the caller was told to continue when its body was read
	return request
}

// defaultWatchEvery is how often a running stream is looked after.
const defaultWatchEvery = 5 * time.Second

// watch looks after a running call from a timer: it ends the call at its time
// limit and, for streams, records checkpoints, extends the hold before it is
// used up and notices that the key was revoked.
type watch struct {
	x      *exchange
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func (w *watch) start(x *exchange, cancel context.CancelCauseFunc) {
	w.x, w.cancel = x, cancel
	x.mutex.Lock() // a very short limit may fire before timer is set
	defer x.mutex.Unlock()
	w.timer = time.AfterFunc(w.pause(x.dispatched), w.tick)
}

// pause returns the time until the next look.
func (w *watch) pause(now time.Time) time.Duration {
	left := w.x.deadline.Sub(now)
	if !w.x.call.Stream {
		return left
	}
	covered := w.x.dispatched.Add(w.x.worst.Duration).Sub(now)
	return max(min(left, covered, w.x.gate.watchEvery), time.Millisecond)
}

func (w *watch) tick() {
	x := w.x
	x.mutex.Lock()
	defer x.mutex.Unlock()
	if x.settled {
		return
	}
	now := x.gate.now()
	if !now.Before(x.deadline) {
		w.cancel(errDeadline)
		return
	}
	if x.call.Stream {
		if err := w.lookAfter(now); err != nil {
			w.cancel(err)
			return
		}
	}
	w.timer.Reset(w.pause(now))
}

// lookAfter returns why a stream must end, or nil.
func (w *watch) lookAfter(now time.Time) error {
	x := w.x
	ran := now.Sub(x.dispatched)
	soFar := x.soFar
	soFar.Duration = min(ran, x.worst.Duration)
	if err := x.gate.ledger.Checkpoint(x.hold.ID, soFar); err != nil {
		x.gate.logger.Warn("no checkpoint", "request_id", x.requestID, "error", err)
	}
	if keys, ok := x.gate.ledger.(KeyLookup); ok && x.gate.onRevoke == RevokeAbort {
		if key, ok := keys.Key(x.caller.key.ID); !ok || !key.RevokedAt.IsZero() {
			return errRevoked
		}
	}
	if x.worst.Duration >= x.gate.holdTimeout || ran < x.worst.Duration-x.gate.streamHold/2 {
		return nil
	}
	worst := x.worst
	worst.Duration = min(worst.Duration+x.gate.streamHold, x.gate.holdTimeout)
	if err := x.extend(worst); err != nil && ran >= x.worst.Duration {
		return errCredit
	}
	return nil
}

// extend raises the hold. The caller holds x.mutex.
func (x *exchange) extend(worst ledger.Quantity) error {
	hold, err := x.gate.ledger.Extend(context.Background(), x.hold.ID, worst)
	if err != nil {
		return err
	}
	x.hold, x.worst = hold, worst
	return nil
}
