package balance

import (
	"fmt"
	"slices"
	"strings"
)

// Strategy names a way to choose among the upstreams that can take a call.
type Strategy string

// The strategies. What they mean by work is tokens of prompts that upstreams have yet to
// compute, as far as this gateway knows.
const (
	// StrategyPrefixWork takes the upstream where the prompt is answered soonest: little work
	// before it, few calls beside it, and much of it in the cache already. It is the default.
	StrategyPrefixWork Strategy = "prefix_work"
	// StrategyLeastWork is the same without a cache in mind.
	StrategyLeastWork Strategy = "least_work"
	// StrategyWeightedRandom draws in proportion to the weights.
	StrategyWeightedRandom Strategy = "weighted_random"
	// StrategyP2C draws two by weight and takes the one with less work.
	StrategyP2C Strategy = "p2c"
	// StrategyPrefixHash sends conversations that begin alike to one upstream, as long as it
	// has at most 1.25 of its share of the calls in flight.
	StrategyPrefixHash Strategy = "prefix_hash"
	// StrategySession sends all calls of a session to one upstream.
	StrategySession Strategy = "session"
)

// Strategies lists every strategy that an operator may name.
func Strategies() []Strategy {
	return []Strategy{
		StrategyPrefixWork, StrategyLeastWork, StrategyWeightedRandom, StrategyP2C, StrategyPrefixHash, StrategySession,
	}
}

// Validate returns an error if there is no strategy of that name. An empty one is the default.
func (s Strategy) Validate() error {
	if s == "" || slices.Contains(Strategies(), s) {
		return nil
	}
	names := make([]string, 0, len(Strategies()))
	for _, strategy := range Strategies() {
		names = append(names, string(strategy))
	}
	return fmt.Errorf("unknown strategy %q; known: %s", string(s), strings.Join(names, ", "))
}

// Call is what a choice depends on. Fields that are not known are empty.
type Call struct {
	Model   string // as upstreams list it; empty if the call runs none
	Owner   string // account that pays; prompts of different owners are kept apart
	Session string // calls with the same one belong together
	// Prompt is the prompt as it stands on the wire; empty for calls that have none which
	// upstreams keep, such as embeddings. It is only read during the choice.
	Prompt []byte
	// Tokens is an upper estimate of the tokens of the prompt, with which the call's work is
	// at most counted. 0: unknown.
	Tokens int64
}

// promptTokens estimates the tokens of the prompt.
func (c *Call) promptTokens() int64 {
	tokens := int64(len(c.Prompt)) / bytesPerToken
	if c.Tokens > 0 && (c.Tokens < tokens || tokens == 0) {
		return c.Tokens
	}
	return tokens
}

// bytesPerToken is what a token of prose has, quotes and escapes included.
const bytesPerToken = 4
