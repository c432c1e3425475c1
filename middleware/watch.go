package middleware

import (
	"context"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

const (
	// defaultWatchEvery is how often a running stream is looked after.
	defaultWatchEvery = 5 * time.Second
	// outputSlack is how far the count of a stream may exceed the cap that the
	// upstream was given: what is counted from a stream is not exact.
	outputSlack = 64
	// maxLead is how long before a hold's time is used up it grows.
	maxLead = 200 * time.Millisecond
	// shortestGrowth to longestGrowth is by how much time a hold grows at once.
	shortestGrowth = 10 * time.Millisecond
	usualGrowth    = time.Second
	longestGrowth  = 10 * time.Second
	// smallestGrowth is by how many tokens the hold of a stream grows at least.
	smallestGrowth = 64
)

// watch looks after a running call. From a timer it extends the hold before its
// time is used up, and ends the call if that cannot be, or at its time limit. Of
// streams it also records checkpoints, and notices that the key was revoked.
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
	w.feedback.known.covered = w.admission.likely
	w.timer = time.AfterFunc(w.pause(w.dispatched), w.tick)
}

// pause returns the time until the next look. The caller holds the feedback's
// mutex.
func (w *watch) pause(now time.Time) time.Duration {
	pause := w.admission.deadline.Sub(now)
	if covered := w.feedback.known.covered.Duration; covered < w.gate.holdTimeout {
		left := w.dispatched.Add(covered).Sub(now)
		if early := left - lead(covered); early > 0 {
			left = early
		}
		pause = min(pause, left)
	}
	if w.request.call.Stream {
		pause = min(pause, w.gate.watchEvery)
	}
	return max(pause, time.Millisecond)
}

// lead returns how long before it is used up a hold over that much time grows.
func lead(covered time.Duration) time.Duration { return min(covered/8, maxLead) }

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
	if err := w.lookAfter(now); err != nil {
		w.cancel(err)
		return
	}
	w.timer.Reset(w.pause(now))
}

// lookAfter returns why a call must end, or nil. The caller holds the feedback's
// mutex.
func (w *watch) lookAfter(now time.Time) error {
	ran, covered := now.Sub(w.dispatched), w.feedback.known.covered.Duration
	if w.request.call.Stream {
		w.checkpoint(min(ran, covered))
		if w.revoked() {
			return errRevoked
		}
	}
	if covered >= w.gate.holdTimeout || ran < covered-lead(covered) {
		return nil
	}
	if !w.growTime() && ran >= covered {
		return errCredit
	}
	return nil
}

// checkpoint records what a stream has consumed until now.
func (w *watch) checkpoint(ran time.Duration) {
	soFar := w.feedback.known.produced
	soFar.Duration = ran
	if err := w.gate.ledger.Checkpoint(w.admission.hold, soFar); err != nil {
		w.gate.logger.Warn("no checkpoint", "request_id", w.request.id, "error", err)
	}
}

// revoked says that the call must end because its key was revoked.
func (w *watch) revoked() bool {
	keys, ok := w.gate.ledger.(KeyLookup)
	if !ok || w.gate.onRevoke != RevokeAbort {
		return false
	}
	key, ok := keys.Key(w.caller.key.ID)
	return !ok || !key.RevokedAt.IsZero()
}

// growTime makes the hold cover more time: half as much again, or as much as there
// is credit for. It is false if there is none. The caller holds the feedback's mutex.
func (w *watch) growTime() bool {
	covered := w.feedback.known.covered
	growth := min(max(covered.Duration/2, usualGrowth), longestGrowth)
	for ; growth >= shortestGrowth; growth /= 2 {
		more := covered
		more.Duration = min(covered.Duration+growth, w.gate.holdTimeout)
		more.OutputTokens = w.unseen(more.Duration)
		if w.extend(more) == nil {
			return true
		}
		if more.OutputTokens == covered.OutputTokens {
			continue
		}
		more.OutputTokens = covered.OutputTokens // time is certain, tokens are a guess
		if w.extend(more) == nil {
			return true
		}
	}
	return false
}

// unseen returns the output tokens that the hold should cover once the call has run
// that long. Nobody sees what a whole reply has produced before its end: it is
// expected to produce as much in the same time as what is likely. The caller
// holds the feedback's mutex.
func (w *watch) unseen(ran time.Duration) int64 {
	tokens, likely := w.feedback.known.covered.OutputTokens, &w.admission.likely
	most := w.admission.cap * w.request.call.Answers
	if w.request.call.Stream || w.request.custom != nil || tokens >= most || likely.Duration <= 0 {
		return tokens
	}
	expected := float64(likely.OutputTokens) * ran.Seconds() / likely.Duration.Seconds()
	return min(max(tokens, int64(expected)), most)
}

// extend raises the hold. The caller holds the feedback's mutex.
func (w *watch) extend(covered ledger.Quantity) error {
	if _, err := w.gate.ledger.Extend(context.Background(), w.admission.hold, covered); err != nil {
		return err
	}
	w.feedback.known.covered = covered
	return nil
}

// produced notes what a stream has produced so far, and returns why it must end, or
// nil. A stream goes on only as long as its hold can grow, and only up to its cap
// unless the upstream is trusted.
func (w *watch) produced(output int64) error {
	w.feedback.mutex.Lock()
	defer w.feedback.mutex.Unlock()
	known := &w.feedback.known
	if w.request.custom == nil {
		if err := w.growOutput(output); err != nil {
			known.failure = err
			w.cancel(err)
			return err
		}
	}
	known.produced = ledger.Quantity{
		InputTokens: w.admission.reserved.Input, OutputTokens: min(output, known.covered.OutputTokens),
	}
	return nil
}

// growOutput makes the hold cover what a stream has produced, or returns why the
// stream must end. The caller holds the feedback's mutex.
func (w *watch) growOutput(output int64) error {
	known, call := &w.feedback.known, &w.request.call
	most := w.admission.cap * call.Answers
	if call.Route.Spec.RepeatsPrompt {
		output -= call.TextBytes / bytesPerToken * call.Answers // is counted, and not charged
	}
	if !known.upstream.Trusted {
		if output > most+outputSlack {
			return errOverCap
		}
		output = min(output, most)
	}
	if output <= known.covered.OutputTokens {
		return nil
	}
	more := known.covered
	more.OutputTokens = output + max(output/2, smallestGrowth)
	if !known.upstream.Trusted {
		more.OutputTokens = min(more.OutputTokens, most)
	}
	if w.extend(more) == nil {
		return nil
	}
	return w.coverOutput(output)
}

// coverOutput makes the hold cover that many output tokens, or as many as there is
// credit for, and then returns errCredit: the call is charged for all of them. The
// caller holds the feedback's mutex.
func (w *watch) coverOutput(output int64) error {
	covered := &w.feedback.known.covered
	for growth := output - covered.OutputTokens; ; growth = (growth + 1) / 2 {
		more := *covered
		more.OutputTokens = min(more.OutputTokens+growth, output)
		_ = w.extend(more)
		switch {
		case covered.OutputTokens >= output:
			return nil
		case growth <= 1:
			return errCredit
		}
	}
}
