package engine

import (
	"context"
	"io"
	"sync"
	"time"
)

// Stream is the answer to one Request as it comes. Next is for one reader;
// Usage may be called at any time.
type Stream struct {
	maxTokens int
	submitted time.Time
	changed   chan struct{} // holds one element when there is something to read

	mu      sync.Mutex
	pending Update
	usage   Usage
	ended   bool
	err     error
}

// Update is what has happened since the last one.
type Update struct {
	Text      string       // whole characters only
	Tokens    []Token      // a token's text may come with a later update
	Usage     Usage        // up to this point
	Embedding []float32    // for Request.Embed
	Finish    FinishReason // set in the last update of a generation
}

func newStream(request *Request) *Stream {
	return &Stream{
		maxTokens: request.MaxTokens,
		changed:   make(chan struct{}, 1),
		usage:     Usage{Prompt: len(request.Prompt)},
	}
}

// MaxTokens is the maximum number of tokens in the answer: what was asked for, lowered
// to what the context leaves.
func (s *Stream) MaxTokens() int { return s.maxTokens }

// Usage says what the request has consumed so far.
func (s *Stream) Usage() Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usage
}

// Next waits for an update. The first one comes when the request gets its slot and may
// be empty. After the last update Next returns io.EOF, or the reason if the request
// could not be finished: ErrEngine, ErrClosed, a *BusyError, or the cause of a context
// that ended.
func (s *Stream) Next(ctx context.Context) (Update, error) {
	select {
	case <-s.changed:
	case <-ctx.Done():
		return Update{}, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	update := s.pending
	update.Usage = s.usage
	s.pending = Update{}
	if !s.ended {
		return update, nil
	}
	s.signal() // the end stays readable
	switch {
	case s.err != nil && update.Text == "":
		return Update{}, s.err
	case s.err == nil && update.Finish == "" && update.Embedding == nil:
		return Update{}, io.EOF
	}
	return update, nil
}

func (s *Stream) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// started records that the request got its slot and how many tokens were cached.
func (s *Stream) started(queued time.Duration, cached int) {
	s.mu.Lock()
	s.usage.Queued, s.usage.Cached = queued, cached
	s.mu.Unlock()
	s.signal()
}

// spent adds a share of a step's time.
func (s *Stream) spent(share time.Duration) {
	s.mu.Lock()
	s.usage.Inference += share
	s.mu.Unlock()
}

// generated adds a token and the text that is certain now.
func (s *Stream) generated(text string, token Token, keep bool) {
	s.mu.Lock()
	if s.usage.Generated++; s.usage.Generated == 1 {
		s.usage.FirstToken = time.Since(s.submitted)
	}
	s.pending.Text += text
	if keep {
		s.pending.Tokens = append(s.pending.Tokens, token)
	}
	s.mu.Unlock()
	s.signal()
}

// end closes the stream. Later calls change nothing.
func (s *Stream) end(rest string, reason FinishReason, embedding []float32, err error) {
	s.mu.Lock()
	if !s.ended {
		s.pending.Text += rest
		s.pending.Finish, s.pending.Embedding = reason, embedding
		s.ended, s.err = true, err
	}
	s.mu.Unlock()
	s.signal()
}
