package gpubackend

import (
	"net/http"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// After brokenSteps failed steps in a row the server reports itself unhealthy for
// brokenPause, so that load balancers send requests elsewhere before they try again.
const (
	brokenSteps = 3
	brokenPause = 10 * time.Second
)

func broken(status *engine.Status) bool {
	return status.FailuresInRow >= brokenSteps && time.Since(status.LastFailure) < brokenPause
}

// serveHealth reports whether the process and its engine work. It never waits for a
// step, so that a busy server is not taken for a dead one.
func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) error {
	status := s.scheduler.Status()
	if broken(&status) {
		return &apiError{
			status: http.StatusServiceUnavailable, kind: kindServer, code: "engine_failure",
			message: "the engine failed in its last steps", retry: brokenPause,
		}
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

// serveReady reports whether a request sent now would be accepted.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) error {
	status := s.scheduler.Status()
	full := status.Running+status.Waiting >= status.Slots+status.QueueDepth
	switch {
	case status.Draining:
		return asAPIError(engine.ErrDraining)
	case broken(&status):
		return s.serveHealth(w, r)
	case full:
		return asAPIError(&engine.BusyError{Waiting: status.Waiting, RetryAfter: status.RetryAfter})
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready", "model": s.name(), "device": s.info.Device})
	return nil
}

// queueBody is the load of the server, for load balancers and people.
type queueBody struct {
	Slots            int     `json:"slots"`
	Running          int     `json:"running"`
	Waiting          int     `json:"waiting"`
	Depth            int     `json:"depth"`
	MaxWaitMs        int64   `json:"max_wait_ms"`
	OldestWaitMs     int64   `json:"oldest_wait_ms"`
	DrainPerSecond   float64 `json:"drain_per_second"`
	RetryAfterMs     int64   `json:"retry_after_ms"`
	PagesTotal       int     `json:"kv_pages_total"`
	PagesInUse       int     `json:"kv_pages_in_use"`
	PagesCached      int     `json:"kv_pages_cached"`
	PageTokens       int     `json:"kv_page_tokens"`
	StepRunningMs    int64   `json:"step_running_ms"`
	Draining         bool    `json:"draining"`
	BusyMs           float64 `json:"busy_ms"`
	TokensIn         uint64  `json:"tokens_in"`
	TokensCached     uint64  `json:"tokens_cached"`
	TokensOut        uint64  `json:"tokens_out"`
	RequestsFinished uint64  `json:"requests_finished"`
}

func (s *Server) serveQueue(w http.ResponseWriter, r *http.Request) error {
	status := s.scheduler.Status()
	writeJSON(w, http.StatusOK, queueBody{
		Slots: status.Slots, Running: status.Running, Waiting: status.Waiting,
		Depth: status.QueueDepth, MaxWaitMs: status.QueueWait.Milliseconds(), OldestWaitMs: status.OldestQueued.Milliseconds(),
		DrainPerSecond: status.DrainPerSec, RetryAfterMs: status.RetryAfter.Milliseconds(),
		PagesTotal: status.Pages, PagesInUse: status.PagesInUse, PagesCached: status.PagesCached, PageTokens: engine.PageSize,
		StepRunningMs: status.StepRunning.Milliseconds(), Draining: status.Draining, BusyMs: inMilliseconds(status.Busy),
		TokensIn: status.PromptTokens, TokensCached: status.CachedTokens, TokensOut: status.GeneratedTokens,
		RequestsFinished: status.Finished,
	})
	return nil
}
