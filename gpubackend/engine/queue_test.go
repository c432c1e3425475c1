package engine

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueueIsBoundedInDepthAndWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runner := newHistoryRunner(64, 512)
		runner.before = func(*Batch) error { time.Sleep(time.Second); return nil }
		s := New(runner, byteTokenizer{}, WithSlots(1), WithQueue(2, 5*time.Second))
		request := Request{Prompt: []int32{1}, MaxTokens: 100, IgnoreEnd: true}
		first := submit(t, s, request)[0]
		synctest.Wait() // until it runs
		second, third := submit(t, s, request)[0], submit(t, s, request)[0]
		_, err := s.Submit(context.Background(), request)
		var busy *BusyError
		if !errors.As(err, &busy) || busy.Waiting != 2 || busy.RetryAfter < time.Second {
			t.Fatalf("the fourth request got %v, want a BusyError", err)
		}
		for _, stream := range []*Stream{second, third} {
			began := time.Now()
			if _, _, _, err = answer(stream); !errors.As(err, &busy) || busy.Waited != 5*time.Second {
				t.Errorf("a waiting request got %v after %v", err, time.Since(began))
			}
		}
		if _, _, finish, err := answer(first); err != nil || finish != FinishLength {
			t.Errorf("the running request got %q, %v", finish, err)
		}
		s.Close()
	})
}

func TestRetryAfterFollowsTheDrainRate(t *testing.T) {
	start := time.Unix(1000, 0)
	var drain drainRate
	if got := drain.retryAfter(start, 9); got != shortestRetry {
		t.Errorf("without history: %v", got)
	}
	drain.began(start)
	for i := range 40 {
		drain.ended(start.Add(time.Duration(i)*2*time.Second), 1)
	}
	now := start.Add(80 * time.Second)
	// 32 endings in the last 64 seconds: one in two seconds.
	if got := drain.retryAfter(now, 9); got != 20*time.Second {
		t.Errorf("ten to start at one in two seconds: %v, want 20 s", got)
	}
	if got := drain.retryAfter(now.Add(time.Hour), 9); got != longestRetry {
		t.Errorf("after an hour without an ending: %v, want %v", got, longestRetry)
	}
	drain.ended(now, 0)
	morning := now.Add(12 * time.Hour)
	drain.began(morning)
	if got := drain.retryAfter(morning, 9); got < 15*time.Second || got > 20*time.Second {
		t.Errorf("after a night without requests: %v, want about 20 s", got)
	}
}

func TestChoicesShareTheirPrompt(t *testing.T) {
	runner := newHistoryRunner(64, 512)
	together := 0
	runner.before = func(batch *Batch) error { together = max(together, len(batch.Tables)); return nil }
	s := New(runner, byteTokenizer{}, WithSlots(4))
	defer s.Close()
	requests := make([]Request, 4)
	for i := range requests {
		requests[i] = Request{Prompt: make([]int32, 100), MaxTokens: 4, IgnoreEnd: true, Sampling: Sampling{Temperature: 1, Seed: uint64(i)}}
	}
	streams := submit(t, s, requests...)
	for i, stream := range streams {
		if _, _, _, err := answer(stream); err != nil {
			t.Fatal(err)
		}
		want := 96
		if i == 0 {
			want = 0
		}
		if cached := stream.Usage().Cached; cached != want {
			t.Errorf("choice %d found %d cached tokens, want %d", i, cached, want)
		}
	}
	if s.Close(); together != 4 {
		t.Errorf("at most %d of 4 choices ran at the same time", together)
	}
}

func TestManyChoicesDoNotShutOutOthers(t *testing.T) {
	runner := newHistoryRunner(64, 512)
	begin := make(chan struct{})
	steps, lastOfOne := 0, 0
	runner.before = func(batch *Batch) error {
		<-begin
		steps++
		for _, row := range batch.Rows {
			if row.Position == 0 && row.Token == 9 {
				lastOfOne = steps
			}
		}
		return nil
	}
	s := New(runner, byteTokenizer{}, WithSlots(2), WithQueue(20, time.Minute))
	defer s.Close()
	choice := Request{Prompt: make([]int32, 20), MaxTokens: 3, IgnoreEnd: true}
	streams := submit(t, s, slices.Repeat([]Request{choice}, 10)...)
	streams = append(streams, submit(t, s, Request{Prompt: []int32{9}, MaxTokens: 3, IgnoreEnd: true})...)
	close(begin)
	for _, stream := range streams {
		if _, _, _, err := answer(stream); err != nil {
			t.Error(err)
		}
	}
	// Ten choices of three tokens take 15 steps on two slots.
	if lastOfOne == 0 || lastOfOne > 4 {
		t.Errorf("the request behind ten choices started in step %d of %d", lastOfOne, steps)
	}
}

func TestWaitIsOverOnceTheFirstChoiceRuns(t *testing.T) {
	runner := newHistoryRunner(64, 512)
	inside, leave := make(chan struct{}), make(chan struct{})
	runner.before = func(*Batch) error { inside <- struct{}{}; <-leave; return nil }
	s := New(runner, byteTokenizer{}, WithSlots(1))
	defer s.Close()
	streams := submit(t, s, slices.Repeat([]Request{{Prompt: []int32{1}, MaxTokens: 1}}, 2)...)
	<-inside
	s.mu.Lock()
	first := s.running[0]
	s.mu.Unlock()
	s.expire(first) // as a timer that fires just when the slot comes free
	go func() {
		leave <- struct{}{}
		<-inside
		leave <- struct{}{}
	}()
	for i, stream := range streams {
		if _, _, _, err := answer(stream); err != nil {
			t.Errorf("choice %d ended with %v", i, err)
		}
	}
}

func TestDrainFinishesWhatWasAccepted(t *testing.T) {
	s := New(newHistoryRunner(64, 512), byteTokenizer{}, WithSlots(1))
	defer s.Close()
	request := Request{Prompt: []int32{1, 2}, MaxTokens: 200, IgnoreEnd: true}
	streams := []*Stream{submit(t, s, request)[0], submit(t, s, request)[0]}
	if err := s.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, stream := range streams {
		if stream.Usage().Generated != 200 {
			t.Errorf("drained with %d of 200 tokens", stream.Usage().Generated)
		}
	}
	if _, err := s.Submit(context.Background(), request); !errors.Is(err, ErrDraining) {
		t.Errorf("a request after the drain got %v", err)
	}
}

func TestWaitingRequestThatIsCancelledLeavesTheQueueAtOnce(t *testing.T) {
	runner := newHistoryRunner(64, 512)
	inside, leave := make(chan struct{}), make(chan struct{})
	runner.before = func(*Batch) error { inside <- struct{}{}; <-leave; return nil }
	s := New(runner, byteTokenizer{}, WithSlots(1), WithQueue(1, time.Minute))
	defer s.Close()
	request := Request{Prompt: []int32{1}, MaxTokens: 1}
	running := submit(t, s, request)[0]
	<-inside
	ctx, cancel := context.WithCancel(context.Background())
	waiting, err := s.Submit(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, _, _, err := answer(waiting[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled request ended with %v", err)
	}
	// Its place is free again although the step has not ended.
	next := submit(t, s, request)[0]
	go func() {
		leave <- struct{}{}
		<-inside
		leave <- struct{}{}
	}()
	for _, stream := range []*Stream{running, next} {
		if _, _, _, err := answer(stream); err != nil {
			t.Error(err)
		}
	}
}

func TestDrainGivesUpWithItsContext(t *testing.T) {
	runner := newHistoryRunner(64, 512)
	inside, leave := make(chan struct{}, 1), make(chan struct{})
	runner.before = func(*Batch) error { inside <- struct{}{}; <-leave; return nil }
	s := New(runner, byteTokenizer{})
	defer s.Close()
	stream := submit(t, s, Request{Prompt: []int32{1}, MaxTokens: 1})[0]
	<-inside
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("enough"))
	if err := s.Drain(ctx); err == nil || err.Error() != "enough" {
		t.Errorf("Drain returned %v", err)
	}
	close(leave)
	if _, _, _, err := answer(stream); err != nil {
		t.Errorf("the running request ended with %v", err)
	}
}

// A queue as deep as numbers go is a queue without a bound, not one below zero.
func TestDeepestQueueTakesRequests(t *testing.T) {
	s := New(newHistoryRunner(64, 512), byteTokenizer{}, WithSlots(2), WithQueue(math.MaxInt, time.Minute))
	defer s.Close()
	streams, err := s.Submit(t.Context(), Request{Prompt: []int32{1}, MaxTokens: 3, IgnoreEnd: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, tokens, _, err := answer(streams[0]); err != nil {
		t.Errorf("%v, %v", tokens, err)
	}
}
