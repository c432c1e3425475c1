package engine

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// A damaged model answers every request with what are no numbers, and fast: if it
// passed for healthy, load balancers would send it all there is.
func TestModelWithoutNumbersIsAFailureInARow(t *testing.T) {
	runner := newHistoryRunner(64, 512)
	spoil := func(batch *Batch) {
		for _, row := range slices.Concat(batch.LogitsOut, batch.HiddenOut) {
			row[0] = float32(math.NaN())
		}
	}
	runner.after = spoil
	s := New(runner, byteTokenizer{}, WithStepTokens(8))
	defer s.Close()
	generation := Request{Prompt: make([]int32, 40), MaxTokens: 5, IgnoreEnd: true}
	for i, request := range []Request{generation, {Prompt: make([]int32, 20), Embed: true}, generation} {
		if _, _, _, err := answer(submit(t, s, request)[0]); !errors.Is(err, ErrEngine) {
			t.Fatalf("request %d got %v", i, err)
		}
		if status := s.Status(); status.FailuresInRow != i+1 || status.LastFailure.IsZero() {
			t.Errorf("after %d failures: %+v", i+1, status)
		}
	}
	runner.mu.Lock()
	runner.after = nil
	runner.mu.Unlock()
	_, _, _, err := answer(submit(t, s, generation)[0])
	status := s.Status()
	if err != nil || status.FailuresInRow != 0 {
		t.Errorf("a good model: %v, %+v", err, status)
	}
	if status.CachedTokens != 0 {
		t.Errorf("%d tokens were taken from pages that may hold no numbers", status.CachedTokens)
	}
}

// As long as others get answers, one failure is the request's and not the engine's.
func TestFailureOfOneAmongManyIsNotTheEngines(t *testing.T) {
	runner := newHistoryRunner(64, 512)
	runner.after = func(batch *Batch) {
		for i, at := range batch.Logits {
			if batch.Rows[at].Token == 7 {
				batch.LogitsOut[i][0] = float32(math.NaN())
			}
		}
	}
	hold := make(chan struct{})
	runner.before = func(*Batch) error { <-hold; return nil }
	s := New(runner, byteTokenizer{})
	defer s.Close()
	bias := map[int32]float32{7: -100}
	good := submit(t, s, Request{Prompt: []int32{1}, MaxTokens: 50, IgnoreEnd: true, Sampling: Sampling{Bias: bias}})[0]
	bad := submit(t, s, Request{Prompt: []int32{7}, MaxTokens: 5})[0]
	close(hold)
	if _, _, _, err := answer(bad); !errors.Is(err, ErrEngine) {
		t.Errorf("the bad request got %v", err)
	}
	if _, _, _, err := answer(good); err != nil {
		t.Error(err)
	}
	if status := s.Status(); status.FailuresInRow != 0 || status.Failed != 1 {
		t.Errorf("%+v", status)
	}
}
