package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Scheduler runs many requests at once on one Runner: each step carries a row
// of every running answer and as much of the prompts as fits (continuous
// batching, Yu et al. 2022; chunked prefill, Agrawal et al. 2023). One goroutine
// drives the Runner; all methods are safe for concurrent use.
type Scheduler struct {
	runner    Runner
	tokenizer Tokenizer
	settings  settings
	wake      chan struct{} // holds one element when the loop has something to look at
	stopped   chan struct{} // closed when the loop has ended

	mu       sync.Mutex
	waiting  waitingLine
	running  []*sequence
	drain    drainRate
	draining bool
	closed   bool
	emptied  chan struct{} // closed when a draining scheduler has nothing left
	totals   Totals
	pool     *pagePool
	stepFrom time.Time // when the present step began; zero between steps

	step stepBuffers // used by the loop alone
}

// sequence is one request on its way. Its fields belong to the loop once it runs;
// before that, to the holder of Scheduler.mu.
type sequence struct {
	ctx        context.Context
	request    Request
	stream     *Stream
	rank       uint64
	first      *sequence // of the same call; only its wait is bounded
	reader     *sequence // reads the same prompt for this one; nil if none does
	promptRead bool
	expiry     *time.Timer // ends the wait of the call; nil for all but the first
	unwatch    func() bool // stops watching ctx

	lease     lease
	tokens    []int32 // prompt and answer
	computed  int     // leading tokens whose KV is in the pages
	rows      int     // rows in the present step
	sampler   *sampler
	text      textAssembler
	embedding []float64
}

// New starts a scheduler. The caller must Close it; that does not close the
// runner.
func New(runner Runner, tokenizer Tokenizer, options ...Option) *Scheduler {
	s := &Scheduler{
		runner:    runner,
		tokenizer: tokenizer,
		settings:  newSettings(runner, options),
		wake:      make(chan struct{}, 1),
		stopped:   make(chan struct{}),
		emptied:   make(chan struct{}),
		pool:      newPagePool(runner.KV().Pages),
	}
	go s.loop()
	return s
}

// Context is the longest sequence that the scheduler takes, in tokens, prompt
// and answer together.
func (s *Scheduler) Context() int { return s.settings.context }

// Submit puts the requests of one call in line, all of them or none. Those with
// the same prompt and salt are choices: one reads the prompt, the others wait for
// it and start from its cached pages. When ctx ends, the requests are given up
// within one step.
//
// Errors: *ContextError, *RequestError, *BusyError, ErrDraining, ErrClosed.
func (s *Scheduler) Submit(ctx context.Context, requests ...Request) ([]*Stream, error) {
	call := make([]*sequence, len(requests))
	streams := make([]*Stream, len(requests))
	for i, request := range requests {
		if err := s.settings.check(&request); err != nil {
			return nil, err
		}
		streams[i] = newStream(&request)
		call[i] = &sequence{
			ctx: ctx, request: request, stream: streams[i], first: call[0],
			sampler: newSampler(request.Sampling), text: textAssembler{stops: request.Stop},
		}
		for _, earlier := range call[:i] {
			if earlier.reader == nil && sharesPrompt(&earlier.request, &request) {
				call[i].reader = earlier
				break
			}
		}
	}
	if len(call) == 0 {
		return nil, nil
	}
	call[0].first = call[0]
	return streams, s.enqueue(ctx, call)
}

func sharesPrompt(a, b *Request) bool {
	return !a.Embed && !b.Embed && a.CacheSalt == b.CacheSalt && slices.Equal(a.Prompt, b.Prompt)
}

func (s *Scheduler) enqueue(ctx context.Context, call []*sequence) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := s.settings.slots + s.settings.queueDepth
	switch {
	case len(call) > most:
		return &RequestError{fmt.Sprintf("the call makes %d requests, slots and queue hold %d", len(call), most)}
	case s.closed:
		return ErrClosed
	case s.draining:
		return ErrDraining
	case len(s.running)+s.waiting.len()+len(call) > most:
		s.totals.Refused++
		return &BusyError{Waiting: s.waiting.len(), RetryAfter: s.drain.retryAfter(time.Now(), s.waiting.len())}
	}
	now := time.Now()
	for _, one := range call {
		one.stream.submitted = now
		one.unwatch = context.AfterFunc(ctx, func() { s.abandon(one) })
	}
	call[0].expiry = time.AfterFunc(s.settings.queueWait, func() { s.expire(call[0]) })
	s.waiting.add(call, s.settings.slots)
	s.nudge()
	return nil
}

// expire ends the wait of a call that got no slot in time.
func (s *Scheduler) expire(first *sequence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.waiting.sequences, first) {
		return // it got its slot while the timer fired
	}
	expired := s.waiting.remove(func(one *sequence) bool { return one.first == first })
	s.totals.Expired++
	busy := &BusyError{
		Waiting: s.waiting.len(), Waited: time.Since(first.stream.submitted),
		RetryAfter: s.drain.retryAfter(time.Now(), s.waiting.len()),
	}
	for _, one := range expired {
		s.close(one, busy)
	}
}

// abandon gives up what waits for a caller that has left. What runs is given up
// by the loop, before its next step.
func (s *Scheduler) abandon(one *sequence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.waiting.remove(func(other *sequence) bool { return other == one }) {
		s.totals.Cancelled++
		s.close(one, context.Cause(one.ctx))
	}
	s.nudge()
}

// close ends a sequence that does not run. s.mu is held.
func (s *Scheduler) close(one *sequence, err error) {
	one.stopTimers()
	one.stream.end("", "", nil, err)
	s.noteEmpty()
}

func (one *sequence) stopTimers() {
	if one.expiry != nil {
		one.expiry.Stop()
	}
	one.unwatch()
}

func (s *Scheduler) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Drain refuses new requests and waits until those accepted are answered. When
// ctx ends first, it returns the cause; what still runs goes on until Close.
func (s *Scheduler) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	s.noteEmpty()
	s.mu.Unlock()
	select {
	case <-s.emptied:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// noteEmpty tells Drain when the last request has ended. s.mu is held.
func (s *Scheduler) noteEmpty() {
	if !s.draining || len(s.running)+s.waiting.len() > 0 {
		return
	}
	select {
	case <-s.emptied:
	default:
		close(s.emptied)
	}
}

// Close ends all requests with ErrClosed and waits for the loop. It may be called
// more than once.
func (s *Scheduler) Close() {
	s.mu.Lock()
	s.closed, s.draining = true, true
	s.nudge()
	s.mu.Unlock()
	<-s.stopped
}
