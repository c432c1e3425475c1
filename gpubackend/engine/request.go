package engine

import (
	"errors"
	"fmt"
	"time"
)

// Request asks for one generation, or for one embedding.
type Request struct {
	// Prompt holds the ids to read, at least one.
	Prompt []int32
	// MaxTokens is the maximum number of tokens to generate. Submit lowers it to what
	// the context leaves after the prompt; Stream.MaxTokens returns the result.
	MaxTokens int
	Sampling  Sampling
	// Stop lists texts that end the generation; they are not part of the answer.
	Stop []string
	// IgnoreEnd goes on after the model's end token, for measurements.
	IgnoreEnd bool
	// Logprobs asks for the log probability of each token, and of the TopLogprobs
	// likeliest tokens at its place.
	Logprobs    bool
	TopLogprobs int
	// CacheSalt separates prefixes: requests share cached pages only with requests
	// of the same salt, so that timing tells a caller nothing about other callers.
	CacheSalt string
	// Embed asks for the mean of the prompt's hidden states, scaled to length 1,
	// in place of a generation.
	Embed bool
}

// Sampling says how a token is drawn. The zero value is greedy: the likeliest
// token, the lowest id among equals.
type Sampling struct {
	Temperature float64 // 0 is greedy
	TopK        int     // keep the K likeliest; 0 keeps all
	TopP        float64 // keep the likeliest that reach this sum; 0 or 1 keeps all
	MinP        float64 // drop what is less likely than MinP times the likeliest
	// RepeatPenalty divides positive logits of the last RepeatWindow tokens and
	// multiplies negative ones (Keskar et al. 2019, CTRL); 0 or 1 changes nothing.
	RepeatPenalty float64
	RepeatWindow  int // tokens; 0 means 64, negative means all
	// FrequencyPenalty is taken off per earlier use of a token in the answer,
	// PresencePenalty once if there was any.
	FrequencyPenalty float64
	PresencePenalty  float64
	Bias             map[int32]float32 // added to the logits
	Seed             uint64
}

// FinishReason says why a generation ended.
type FinishReason string

// The ways in which a generation ends by itself.
const (
	FinishStop   FinishReason = "stop"   // the end token or a stop text
	FinishLength FinishReason = "length" // MaxTokens were generated
)

// Token is one generated token.
type Token struct {
	ID      int32
	Logprob float32     // natural logarithm, of the model's own distribution; only with Request.Logprobs
	Top     []Candidate // likeliest first
}

// Candidate is a token that could have been drawn.
type Candidate struct {
	ID      int32
	Logprob float32
}

// Usage says what a request has consumed so far.
type Usage struct {
	Prompt    int           // tokens read
	Cached    int           // tokens of the prompt that were in the prefix cache
	Generated int           // tokens generated, the end token included
	Inference time.Duration // this request's share of the steps' busy time
	Queued    time.Duration // from Submit until it got a slot
	// FirstToken is the time from Submit to the first token, 0 before that.
	FirstToken time.Duration
}

// ErrDraining is returned for a request that comes while the scheduler drains: it
// finishes the requests it has and accepts no new ones.
var ErrDraining = errors.New("the server is draining and takes no new requests")

// ErrClosed ends the requests that ran when the scheduler was closed.
var ErrClosed = errors.New("the server was closed before the answer was complete")

// ErrEngine is wrapped, with the Runner's error, by the error of a step that failed.
var ErrEngine = errors.New("the engine failed")

// BusyError refuses a request because the queue is full, or because the request waited
// for a slot for the maximum time.
type BusyError struct {
	Waiting    int           // requests in the queue
	Waited     time.Duration // 0 if the queue was full when the request came
	RetryAfter time.Duration // estimate of the time until all waiting requests have started
}

// Error says how many requests wait, and how long this one did.
func (e *BusyError) Error() string {
	if e.Waited > 0 {
		return fmt.Sprintf("no slot came free within %d ms; %d requests wait", e.Waited.Milliseconds(), e.Waiting)
	}
	return fmt.Sprintf("the queue is full: %d requests wait", e.Waiting)
}

// ContextError refuses a prompt that leaves no room for an answer.
type ContextError struct {
	Prompt  int  // tokens
	Least   bool // Prompt is only a lower bound: the text was too long to be tokenized
	Context int  // tokens, prompt and answer together
}

// Error gives the length of the prompt and of the context, in tokens.
func (e *ContextError) Error() string {
	least := ""
	if e.Least {
		least = "at least "
	}
	return fmt.Sprintf("the prompt has %s%d tokens, the context holds %d, answer included", least, e.Prompt, e.Context)
}

// RequestError refuses a request that no scheduler could run.
type RequestError struct{ Reason string }

// Error returns the reason.
func (e *RequestError) Error() string { return e.Reason }
