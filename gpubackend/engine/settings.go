package engine

import (
	"fmt"
	"time"
)

// Option changes a setting of a Scheduler.
type Option func(*settings)

type settings struct {
	slots      int
	queueDepth int
	queueWait  time.Duration
	stepTokens int
	context    int
	vocabulary int
	embedding  int
}

// WithSlots sets how many requests run at once; default 8.
func WithSlots(slots int) Option { return func(s *settings) { s.slots = slots } }

// WithQueue sets how many requests may wait for a slot, and how long; default
// 64 requests, 30 s. With depth 0, a request that finds no free slot is refused.
func WithQueue(depth int, wait time.Duration) Option {
	return func(s *settings) { s.queueDepth, s.queueWait = depth, wait }
}

// WithStepTokens sets the maximum number of tokens that a step computes; default 128,
// at least the number of slots. Larger steps read prompts faster, smaller ones delay
// running answers less.
func WithStepTokens(tokens int) Option { return func(s *settings) { s.stepTokens = tokens } }

// WithContext lowers the maximum length of a sequence, in tokens. Default and upper
// limit are what the model and the KV cache allow.
func WithContext(tokens int) Option { return func(s *settings) { s.context = tokens } }

// deepestQueue is deeper than any queue and far from where sums overflow.
const deepestQueue = 1 << 30

func newSettings(runner Runner, options []Option) settings {
	info, kv := runner.Info(), runner.KV()
	s := settings{slots: 8, queueDepth: 64, queueWait: 30 * time.Second, stepTokens: 128}
	for _, option := range options {
		option(&s)
	}
	// The sum of both is used.
	s.slots, s.queueDepth = max(1, s.slots), min(max(0, s.queueDepth), deepestQueue)
	s.stepTokens = max(s.slots, s.stepTokens)
	longest := min(info.Context, kv.Pages*PageSize)
	if s.context <= 0 || s.context > longest {
		s.context = longest
	}
	s.vocabulary, s.embedding = info.Vocabulary, info.Embedding
	return s
}

// check refuses what cannot run and lowers MaxTokens to what the context leaves.
func (s *settings) check(request *Request) error {
	prompt := len(request.Prompt)
	if prompt == 0 {
		return &RequestError{"the prompt has no tokens"}
	}
	for i, id := range request.Prompt {
		if id < 0 || int(id) >= s.vocabulary {
			return &RequestError{fmt.Sprintf("prompt token %d is %d, the vocabulary has ids 0 to %d", i, id, s.vocabulary-1)}
		}
	}
	for id := range request.Sampling.Bias {
		if id < 0 || int(id) >= s.vocabulary {
			return &RequestError{fmt.Sprintf("bias for token %d, the vocabulary has ids 0 to %d", id, s.vocabulary-1)}
		}
	}
	room := s.context - prompt
	if request.Embed {
		if room < 0 {
			return &ContextError{Prompt: prompt, Context: s.context}
		}
		return nil
	}
	if room < 1 {
		return &ContextError{Prompt: prompt, Context: s.context}
	}
	if request.MaxTokens < 1 {
		return &RequestError{fmt.Sprintf("max_tokens is %d, it must be at least 1", request.MaxTokens)}
	}
	request.MaxTokens = min(request.MaxTokens, room)
	return nil
}
