package simulator

import "time"

// Hardware is what a server's steps take. A step computes a piece of prompts that wait and one
// token of every answer:
//
//	Step + max(Weights, tokens*PerToken) + read*PerRead + pairs*PerPair + sequences*PerSequence
//
// where read is the tokens of context that answers look back at, and pairs are the products of
// prompt tokens and their contexts.
type Hardware struct {
	Name        string
	Step        time.Duration
	Weights     time.Duration // reading the weights once
	PerToken    float64       // seconds
	PerRead     float64       // seconds
	PerPair     float64       // seconds
	PerSequence time.Duration
	KVTokens    int // size of the cache
	Budget      int // tokens in one step
	Sequences   int // in one step
}

// Llama 3 8B in BF16 on servers of one GPU: from data sheets, at the shares of peak compute and
// bandwidth that servers reach.
var (
	H100 = Hardware{
		Name: "H100", Step: 1500 * time.Microsecond, Weights: 6800 * time.Microsecond,
		PerToken: 1 / 30.8e3, PerRead: .056e-6, PerPair: 1.06e-9, PerSequence: 10 * time.Microsecond,
		KVTokens: 412_000, Budget: 8192, Sequences: 256,
	}
	A100 = Hardware{
		Name: "A100", Step: 1500 * time.Microsecond, Weights: 11300 * time.Microsecond,
		PerToken: 1 / 10.7e3, PerRead: .092e-6, PerPair: 3.05e-9, PerSequence: 10 * time.Microsecond,
		KVTokens: 412_000, Budget: 8192, Sequences: 256,
	}
)

// Slower returns hardware that takes so many times as long for everything.
func (h Hardware) Slower(times float64) Hardware {
	h.Name += " slowed"
	for _, d := range []*time.Duration{&h.Step, &h.Weights, &h.PerSequence} {
		*d = time.Duration(float64(*d) * times)
	}
	for _, s := range []*float64{&h.PerToken, &h.PerRead, &h.PerPair} {
		*s *= times
	}
	return h
}
