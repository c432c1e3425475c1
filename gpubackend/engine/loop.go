package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// loop drives the runner until Close.
func (s *Scheduler) loop() {
	defer close(s.stopped)
	for {
		s.mu.Lock()
		closed := s.closed
		s.giveUp(closed)
		s.admit()
		idle := len(s.running) == 0
		s.mu.Unlock()
		switch {
		case closed:
			return
		case idle:
			<-s.wake
		default:
			s.runStep()
		}
	}
}

// giveUp ends the running sequences whose callers have left, or all of them, and
// frees their pages. s.mu is held.
func (s *Scheduler) giveUp(all bool) {
	for _, one := range slices.Clone(s.running) {
		if all {
			s.finish(one, "", ErrClosed)
		} else if one.ctx.Err() != nil {
			s.totals.Cancelled++
			s.finish(one, "", context.Cause(one.ctx))
		}
	}
	if all {
		for _, one := range s.waiting.remove(func(*sequence) bool { return true }) {
			s.close(one, ErrClosed)
		}
	}
}

// admit gives free slots to the requests in line, in order. One that does not
// fit holds up those behind it, so that small ones cannot starve it. s.mu is held.
func (s *Scheduler) admit() {
	for len(s.running) < s.settings.slots {
		one := s.waiting.next()
		if one == nil {
			return
		}
		prompt := one.request.Prompt
		positions := len(prompt)
		if !one.request.Embed {
			// The last token is never read, only given out.
			positions += one.request.MaxTokens - 1
		}
		held, ok := s.pool.admit(one.request.CacheSalt, prompt, positions, !one.request.Embed)
		if !ok {
			return
		}
		s.waiting.remove(func(other *sequence) bool { return other == one })
		if one.expiry != nil {
			one.expiry.Stop()
		}
		one.lease = held
		one.tokens = slices.Clone(prompt)
		one.computed = len(held.pages) * PageSize
		s.running = append(s.running, one)
		s.drain.began(time.Now())
		s.totals.PromptTokens += uint64(len(prompt))
		s.totals.CachedTokens += uint64(one.computed)
		one.stream.started(time.Since(one.stream.submitted), one.computed)
	}
}

// finish ends a running sequence and gives its slot and pages back. s.mu is held.
func (s *Scheduler) finish(one *sequence, reason FinishReason, err error) {
	s.pool.release(&one.lease)
	s.running = slices.DeleteFunc(s.running, func(other *sequence) bool { return other == one })
	one.promptRead = true // choices that wait for this one need not any longer
	one.stopTimers()
	if err == nil {
		s.totals.Finished++
	}
	s.drain.ended(time.Now(), len(s.running))
	one.stream.end(one.text.flush(), reason, one.meanHidden(), err)
	s.noteEmpty()
}

// runStep plans one step, runs it and hands out its results.
func (s *Scheduler) runStep() {
	s.mu.Lock()
	s.planRows()
	batch := s.step.build(s)
	s.stepFrom = time.Now()
	s.mu.Unlock()

	timing, err := s.forward(batch)
	if !s.account(timing, err) {
		return
	}
	s.step.sample()
	s.judge()
	for at, one := range s.step.sequences {
		if err := s.advance(one, at); err != nil {
			s.mu.Lock()
			s.totals.Failed++
			s.finish(one, "", err)
			s.mu.Unlock()
		}
	}
}

// judge tells from what a step gave its sequences whether the engine works. One
// that only reads prompts says nothing.
func (s *Scheduler) judge() {
	good, bad := 0, 0
	for i := range s.step.draws {
		switch draw := &s.step.draws[i]; {
		case draw.err != nil:
			bad++
		case draw.drawn:
			good++
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if bad > 0 {
		s.pool.forgetAll() // what came before in the pages may be no numbers either
	}
	switch {
	case good > 0:
		s.totals.FailuresInRow = 0
	case bad > 0:
		s.totals.FailuresInRow++
		s.totals.LastFailure = time.Now()
	}
}

// account records what a step cost and that its rows are in the pages. It reports
// false after a failed step: what its pages hold is unknown, so all sequences of
// the step end.
func (s *Scheduler) account(timing Timing, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stepFrom = time.Time{}
	if err != nil {
		s.totals.FailedSteps++
		s.totals.FailuresInRow++
		s.totals.LastFailure = time.Now()
		for _, one := range s.step.sequences {
			s.totals.Failed++
			s.finish(one, "", fmt.Errorf("%w: %w", ErrEngine, err))
		}
		s.pool.forgetAll()
		return false
	}
	rows := len(s.step.batch.Rows)
	s.totals.Steps++
	s.totals.Rows += uint64(rows)
	s.totals.Busy += timing.Busy
	s.shareTime(timing.Busy, rows)
	for _, one := range s.step.sequences {
		one.computed += one.rows
		s.pool.publish(&one.lease, one.tokens, one.computed)
	}
	return true
}

// forward turns a panic of the runner into an error, so that a bad step costs
// the requests in it and not the server.
func (s *Scheduler) forward(batch *Batch) (timing Timing, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v", reason)
		}
	}()
	return s.runner.Forward(batch)
}

// shareTime shares a step's busy time out by rows, to the nanosecond: the shares
// of all requests sum to the busy time of all steps.
func (s *Scheduler) shareTime(busy time.Duration, rows int) {
	given, before := time.Duration(0), 0
	for _, one := range s.step.sequences {
		before += one.rows
		// In integers, so that the last one gets to busy exactly; it would overflow
		// after a step of weeks.
		upTo := busy * time.Duration(before) / time.Duration(rows)
		one.stream.spent(upTo - given)
		given = upTo
	}
}

// advance uses what the step computed for one sequence: the next token, or the
// sum of hidden states.
func (s *Scheduler) advance(one *sequence, at int) error {
	draw := &s.step.draws[at]
	switch {
	case draw.err != nil:
		return draw.err
	case one.request.Embed:
		s.advanceEmbedding(one, at)
		return nil
	case !draw.drawn:
		return nil // the prompt is not read to its end yet
	}
	request, token := &one.request, draw.token
	one.tokens = append(one.tokens, token.ID)
	generated := len(one.tokens) - len(request.Prompt)

	ended := s.tokenizer.IsEnd(token.ID) && !request.IgnoreEnd
	text, stopped := "", false
	if !ended {
		text, stopped = one.text.push(s.tokenizer.Piece(token.ID))
	}
	one.stream.generated(text, token, request.Logprobs && !ended)

	s.mu.Lock()
	defer s.mu.Unlock()
	one.promptRead = true
	s.totals.GeneratedTokens++
	switch {
	case ended || stopped:
		s.finish(one, FinishStop, nil)
	case generated >= request.MaxTokens:
		s.finish(one, FinishLength, nil)
	}
	return nil
}

func (s *Scheduler) advanceEmbedding(one *sequence, at int) {
	if one.embedding == nil {
		one.embedding = make([]float64, s.runner.Info().Embedding)
	}
	for _, hidden := range s.step.hiddenOf(at) {
		for i, value := range hidden {
			one.embedding[i] += float64(value)
		}
	}
	if one.computed == len(one.tokens) {
		s.mu.Lock()
		s.finish(one, FinishStop, nil)
		s.mu.Unlock()
	}
}

// meanHidden is the direction of the sum, which is that of the mean; nil for a
// generation.
func (one *sequence) meanHidden() []float32 {
	if !one.request.Embed || one.computed < len(one.request.Prompt) {
		return nil
	}
	length := 0.0
	for _, value := range one.embedding {
		length += value * value
	}
	length = math.Sqrt(length)
	mean := make([]float32, len(one.embedding))
	for i, value := range one.embedding {
		if length > 0 {
			mean[i] = float32(value / length)
		}
	}
	return mean
}
