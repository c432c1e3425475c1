package middleware

import (
	"context"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// defaultWatchEvery is how often a running stream is looked after.
const defaultWatchEvery = 5 * time.Second

// outputSlack is how far the count may exceed the cap before a hold is extended:
// what is counted from a stream is not exact.
const outputSlack = 64

// watch looks after a running call. From a timer it ends the call at its time
// limit and, for streams, records checkpoints, extends the hold before it is
// used up and notices that the key was revoked.
type watch struct {
	gate      *Gate
	caller    *caller
	request   *request
	admission *admission
	feedback  *feedback

	dispatched time.Time
	cancel     context.CancelCauseFunc
	timer      *time.Timer
}

// start begins to watch the call; cancel ends it.
func (w *watch) start(cancel context.CancelCauseFunc) {
	w.dispatched, w.cancel = w.gate.now(), cancel
	w.feedback.mutex.Lock() // a very short limit may fire before timer is set
	defer w.feedback.mutex.Unlock()
	w.feedback.known.covered = w.admission.worst
	w.timer = time.AfterFunc(w.pause(w.dispatched), w.tick)
}

// pause returns the time until the next look. The caller holds the feedback's
// mutex.
func (w *watch) pause(now time.Time) time.Duration {
	left := w.admission.deadline.Sub(now)
	if !w.request.call.Stream {
		return left
	}
	covered := w.dispatched.Add(w.feedback.known.covered.Duration).Sub(now)
	return max(min(left, covered, w.gate.watchEvery), time.Millisecond)
}

// tick is one look at the call.
func (w *watch) tick() {
	w.feedback.mutex.Lock()
	defer w.feedback.mutex.Unlock()
	if w.feedback.known.settled {
		return
	}
	now := w.gate.now()
	if !now.Before(w.admission.deadline) {
		w.cancel(errDeadline)
		return
	}
	if w.request.call.Stream {
		if err := w.lookAfter(now); err != nil {
			w.cancel(err)
			return
		}
	}
	w.timer.Reset(w.pause(now))
}

// lookAfter returns why a stream must end, or nil. The caller holds the
// feedback's mutex.
func (w *watch) lookAfter(now time.Time) error {
	ran, covered := now.Sub(w.dispatched), w.feedback.known.covered
	soFar := w.feedback.known.produced
	soFar.Duration = min(ran, covered.Duration)
	if err := w.gate.ledger.Checkpoint(w.admission.hold, soFar); err != nil {
		w.gate.logger.Warn("no checkpoint", "request_id", w.request.id, "error", err)
	}
	if keys, ok := w.gate.ledger.(KeyLookup); ok && w.gate.onRevoke == RevokeAbort {
		if key, ok := keys.Key(w.caller.key.ID); !ok || !key.RevokedAt.IsZero() {
			return errRevoked
		}
	}
	if covered.Duration >= w.gate.holdTimeout || ran < covered.Duration-w.gate.streamHold/2 {
		return nil
	}
	worst := covered
	worst.Duration = min(worst.Duration+w.gate.streamHold, w.gate.holdTimeout)
	if err := w.extend(worst); err != nil && ran >= covered.Duration {
		return errCredit
	}
	return nil
}

// extend raises the hold. The caller holds the feedback's mutex.
func (w *watch) extend(worst ledger.Quantity) error {
	if _, err := w.gate.ledger.Extend(context.Background(), w.admission.hold, worst); err != nil {
		return err
	}
	w.feedback.known.covered = worst
	return nil
}

// produced notes what a stream has produced so far. A stream that produces more
// than its hold covers goes on only as long as the hold can grow.
func (w *watch) produced(output int64) error {
	w.feedback.mutex.Lock()
	defer w.feedback.mutex.Unlock()
	known := &w.feedback.known
	known.produced = ledger.Quantity{
		InputTokens: w.admission.reserved.Input, OutputTokens: min(output, known.covered.OutputTokens),
	}
	call, slack := &w.request.call, int64(outputSlack)
	if call.Route.Spec.RepeatsPrompt {
		slack += call.TextBytes / bytesPerToken * call.Answers
	}
	if output <= known.covered.OutputTokens+slack || w.request.custom != nil {
		return nil
	}
	worst := known.covered
	worst.OutputTokens = output + output/2
	if w.extend(worst) != nil {
		known.failure = errCredit
		return errCredit
	}
	return nil
}
