package middleware

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect"
)

const (
	// DefaultMaxRuns is how many background runs are kept, running and finished.
	DefaultMaxRuns = 1024
	// keepRun is how long a finished run's result can be asked for.
	keepRun = 10 * time.Minute
	// maxRunBytes limits the results that are kept, all together.
	maxRunBytes = 64 << 20
)

// Runs keeps the aiXplain calls that run in the background, and their results.
// Gates may share one, so that results outlive a change of the configuration. It
// is safe for concurrent use.
type Runs struct {
	maximum int
	mutex   sync.Mutex
	byID    map[string]*backgroundRun
	order   []*backgroundRun // by start
	bytes   int
	running sync.WaitGroup
}

// NewRuns returns a Runs that keeps at most maximum runs.
func NewRuns(maximum int) *Runs {
	return &Runs{maximum: maximum, byID: map[string]*backgroundRun{}}
}

// Wait waits until no run is running, or until ctx ends.
func (s *Runs) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// backgroundRun is one call in the background.
type backgroundRun struct {
	id, keyID string
	finished  time.Time // zero: it still runs
	status    int
	body      []byte
}

// add makes room for a run and registers it. It is false if there is no room because
// all runs that are kept are still running.
func (s *Runs) add(keyID string, now time.Time) (*backgroundRun, bool) {
	var raw [16]byte
	rand.Read(raw[:])
	run := &backgroundRun{id: hex.EncodeToString(raw[:]), keyID: keyID}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.evict(now)
	if len(s.order) >= s.maximum {
		return nil, false
	}
	s.byID[run.id] = run
	s.order = append(s.order, run)
	s.running.Add(1)
	return run, true
}

// evict drops results that are too old, and the oldest ones while there are too
// many. The caller holds the lock.
func (s *Runs) evict(now time.Time) {
	kept := s.order[:0]
	excess := len(s.order) - s.maximum + 1
	for _, run := range s.order {
		old := !run.finished.IsZero() && (now.Sub(run.finished) > keepRun || excess > 0 || s.bytes > maxRunBytes)
		if !old {
			kept = append(kept, run)
			continue
		}
		excess--
		s.bytes -= len(run.body)
		delete(s.byID, run.id)
	}
	clear(s.order[len(kept):])
	s.order = kept
}

// done stores a run's result.
func (s *Runs) done(run *backgroundRun, result *recorder, now time.Time) {
	s.mutex.Lock()
	run.finished, run.status, run.body = now, result.status, result.body.Bytes()
	s.bytes += len(run.body)
	s.evict(now)
	s.mutex.Unlock()
	s.running.Done()
}

// remove forgets a run that was not started.
func (s *Runs) remove(run *backgroundRun) {
	s.mutex.Lock()
	delete(s.byID, run.id)
	for i := range s.order {
		if s.order[i] == run {
			s.order = append(s.order[:i], s.order[i+1:]...)
			break
		}
	}
	s.mutex.Unlock()
	s.running.Done()
}

// find returns a run's state to the key that started it.
func (s *Runs) find(id, keyID string) (run backgroundRun, ok bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	found := s.byID[id]
	if found == nil || found.keyID != keyID {
		return backgroundRun{}, false
	}
	return *found, true
}

// start admits a call, answers with the address of its result and runs it in the
// background.
func (x *exchange) start(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if refusal := x.request.read(x.gate, &x.caller, w, r); refusal != nil {
		x.refuse(w, r, refusal)
		return
	}
	run, ok := x.gate.runs.add(x.caller.key.ID, x.gate.now())
	if !ok {
		x.refuse(w, r, &dialect.Refusal{
			Reason: dialect.Overloaded, Code: "too_many_runs", RetryAfter: retryWhenUnavailable,
			Message: "too many runs in the background",
		})
		return
	}
	if refusal := x.admit(r.Context()); refusal != nil {
		x.gate.runs.remove(run)
		x.refuse(w, r, refusal)
		return
	}
	x.headers.setLimits(w.Header())
	w.Header().Set("Content-Type", "application/json")
	// The run sets headers of its own in the same memory, while others may still
	// read these for their logs.
	for name, values := range w.Header() {
		w.Header()[name] = slices.Clone(values)
	}
	started := dialect.Started(origin(r) + x.gate.prefix + "/api/v1/data/" + run.id)
	// The run outlives its request, whose parts the server may use again.
	request := r.Clone(context.WithoutCancel(r.Context()))
	if _, err := w.Write(started); err != nil {
		x.gate.logger.Debug("address of a run not sent", "request_id", x.request.id, "error", err)
	}
	x.later = true
	go x.background(run, request, next)
}

// background runs a call that no client waits for.
func (x *exchange) background(run *backgroundRun, r *http.Request, next http.Handler) {
	result := &recorder{header: http.Header{}}
	defer func() {
		if problem := recover(); problem != nil && problem != http.ErrAbortHandler {
			x.gate.logger.Error("panic in a background run", "request_id", x.request.id)
		}
		x.gate.runs.done(run, result, x.gate.now())
		x.request.body.drop()
	}()
	x.run(result, r, next)
}

// poll answers a question for a run's result.
func (x *exchange) poll(w http.ResponseWriter, r *http.Request) {
	run, ok := x.gate.runs.find(x.request.call.Route.Target, x.caller.key.ID)
	if !ok {
		x.refuse(w, r, &dialect.Refusal{
			Reason: dialect.NotFound, Code: "run_not_found", Message: "there is no such run", Final: true,
		})
		return
	}
	body := run.body
	switch {
	case run.finished.IsZero():
		body = dialect.Running()
	case run.status != http.StatusOK:
		body = dialect.Failed(run.body)
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(body); err != nil {
		x.gate.logger.Debug("result of a run not sent", "request_id", x.request.id, "error", err)
	}
}

// origin returns the address under which the client reached the gateway.
func origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// recorder keeps an answer that goes to no client.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
	limit  int // of the body in bytes; 0: what the gate translates limits it
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
}

func (r *recorder) Write(piece []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.limit > 0 && r.body.Len()+len(piece) > r.limit {
		return 0, errReplyTooLarge
	}
	return r.body.Write(piece)
}
