package engine

import "time"

// Totals counts what a scheduler has done since it started.
type Totals struct {
	Finished        uint64 // requests answered
	Cancelled       uint64 // requests whose caller left
	Refused         uint64 // calls that found the queue full
	Expired         uint64 // calls that waited too long
	Failed          uint64 // requests that the engine failed
	PromptTokens    uint64 // of admitted requests, cached ones included
	CachedTokens    uint64
	GeneratedTokens uint64
	Steps           uint64
	Rows            uint64        // tokens computed in all steps
	Busy            time.Duration // of all steps: the sum of all Usage.Inference
	FailedSteps     uint64
	FailuresInRow   int       // steps since the last good one that failed or gave no request numbers
	LastFailure     time.Time // the last of those; zero if there was none
}

// Status is a scheduler at one moment.
type Status struct {
	Totals
	Slots        int
	Running      int
	Waiting      int
	QueueDepth   int
	QueueWait    time.Duration
	DrainPerSec  float64       // slots that become free, per second
	RetryAfter   time.Duration // of a request that is refused now
	Pages        int
	PagesInUse   int
	PagesCached  int           // idle pages that the prefix cache keeps
	StepRunning  time.Duration // how long the present step has run; 0 between steps
	Draining     bool
	OldestQueued time.Duration // how long the first in line has waited
}

// Status never waits for a step.
func (s *Scheduler) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	status := Status{
		Totals: s.totals, Slots: s.settings.slots, Running: len(s.running), Waiting: s.waiting.len(),
		QueueDepth: s.settings.queueDepth, QueueWait: s.settings.queueWait,
		DrainPerSec: s.drain.perSecond(now), RetryAfter: s.drain.retryAfter(now, s.waiting.len()),
		Pages: len(s.pool.pages), PagesInUse: s.pool.inUse(), PagesCached: s.pool.idle.Len(), Draining: s.draining,
	}
	if !s.stepFrom.IsZero() {
		status.StepRunning = now.Sub(s.stepFrom)
	}
	if line := s.waiting.sequences; len(line) > 0 {
		status.OldestQueued = now.Sub(line[0].stream.submitted)
	}
	return status
}
