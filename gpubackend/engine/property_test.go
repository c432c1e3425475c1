package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNoTokenIsLostOrMixed runs random calls on random settings, some given up on
// the way, and compares each answer with the model's own.
func TestNoTokenIsLostOrMixed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		runner := newHistoryRunner(rapid.IntRange(6, 40).Draw(t, "pages"), 96)
		s := New(runner, byteTokenizer{}, WithSlots(rapid.IntRange(1, 9).Draw(t, "slots")),
			WithQueue(200, time.Minute), WithStepTokens(rapid.IntRange(1, 64).Draw(t, "step")))
		defer s.Close()
		var readers sync.WaitGroup
		for range rapid.IntRange(1, 25).Draw(t, "calls") {
			prompt := make([]int32, rapid.IntRange(1, 80).Draw(t, "prompt"))
			for i := range prompt { // few different beginnings, so that they meet in the cache
				prompt[i] = int32(i / PageSize * rapid.SampledFrom([]int{0, 0, 1}).Draw(t, "token"))
			}
			request := Request{
				Prompt: prompt, MaxTokens: rapid.IntRange(1, 30).Draw(t, "tokens"), Logprobs: true,
				CacheSalt: rapid.SampledFrom([]string{"", "b"}).Draw(t, "salt"),
			}
			leavesAfter := rapid.IntRange(-8, 8).Draw(t, "leaves after")
			choices := rapid.IntRange(1, 3).Draw(t, "choices")
			readers.Go(func() { runCall(t, s, slices.Repeat([]Request{request}, choices), leavesAfter) })
		}
		readers.Wait()
		waitUntilEmpty(t, s)
	})
}

// runCall submits choices of one prompt and compares each with the oracle.
func runCall(t *rapid.T, s *Scheduler, requests []Request, leavesAfter int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	streams, err := s.Submit(ctx, requests...)
	if err != nil {
		t.Error(err)
		return
	}
	want := solo(requests[0].Prompt, streams[0].MaxTokens())
	if last := len(want) - 1; want[last] == testEnd {
		want = want[:last] // no text, so no token in an update
	}
	var readers sync.WaitGroup
	for _, stream := range streams {
		readers.Go(func() {
			got, err := readSome(ctx, stream, cancel, leavesAfter)
			switch {
			case err != nil && !errors.Is(err, context.Canceled):
				t.Errorf("ended with %v", err)
			case err == nil && !slices.Equal(got, want), err != nil && (len(got) > len(want) || !slices.Equal(got, want[:len(got)])):
				t.Errorf("got %v (%v), the model says %v", got, err, want)
			}
		})
	}
	readers.Wait()
}

// readSome reads a stream; after as many tokens as leavesAfter says, if that is
// not negative, it leaves.
func readSome(ctx context.Context, stream *Stream, leave func(), leavesAfter int) (ids []int32, err error) {
	for {
		if leavesAfter >= 0 && len(ids) >= leavesAfter {
			leave()
		}
		update, err := stream.Next(ctx)
		for _, token := range update.Tokens {
			ids = append(ids, token.ID)
		}
		if err != nil || update.Finish != "" {
			return ids, err
		}
	}
}

// waitUntilEmpty waits for the step after the last cancellation.
func waitUntilEmpty(t *rapid.T, s *Scheduler) {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		status := s.Status()
		if status.Running == 0 && status.Waiting == 0 {
			if status.PagesInUse != 0 || s.pool.promised != 0 {
				t.Fatalf("nothing runs, but %d pages are in use and %d promised", status.PagesInUse, s.pool.promised)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not empty: %+v", status)
		}
	}
}
