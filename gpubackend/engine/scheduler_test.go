package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// answer reads a stream to its end.
func answer(stream *Stream) (text string, tokens []int32, finish FinishReason, err error) {
	for {
		update, err := stream.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return text, tokens, finish, nil
		}
		if err != nil {
			return text, tokens, finish, err
		}
		text += update.Text
		for _, token := range update.Tokens {
			tokens = append(tokens, token.ID)
		}
		if update.Finish != "" {
			finish = update.Finish
		}
	}
}

func submit(t testing.TB, s *Scheduler, requests ...Request) []*Stream {
	t.Helper()
	streams, err := s.Submit(context.Background(), requests...)
	if err != nil {
		t.Fatal(err)
	}
	return streams
}

func TestTwoHundredStreamsEqualTheirSoloRuns(t *testing.T) {
	runner := newHistoryRunner(120, 256)
	s := New(runner, byteTokenizer{}, WithSlots(16), WithQueue(200, time.Minute), WithStepTokens(48))
	defer s.Close()
	shared := byteTokenizer{}.Encode(strings.Repeat("the same beginning ", 4), false)
	var group sync.WaitGroup
	for i := range 200 {
		prompt := append(slices.Clone(shared[:i%len(shared)]), byteTokenizer{}.Encode(fmt.Sprint("question ", i%150), false)...)
		request := Request{Prompt: prompt, MaxTokens: 1 + i%40, Logprobs: true}
		group.Go(func() {
			streams, err := s.Submit(context.Background(), request)
			if err != nil {
				t.Error(err)
				return
			}
			_, got, _, err := answer(streams[0])
			want := solo(prompt, request.MaxTokens)
			if want[len(want)-1] == testEnd {
				want = want[:len(want)-1]
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("stream %d: got %v, %v; alone it is %v", i, got, err, want)
			}
		})
	}
	group.Wait()
	status := s.Status()
	if status.Finished != 200 || status.PagesInUse != 0 || status.CachedTokens == 0 {
		t.Errorf("at the end: %+v", status)
	}
}

func TestSharesOfStepTimeSumToBusyTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		runner := newHistoryRunner(64, 128)
		s := New(runner, byteTokenizer{}, WithSlots(rapid.IntRange(1, 6).Draw(t, "slots")),
			WithStepTokens(rapid.IntRange(1, 40).Draw(t, "step")))
		ctx, cancel := context.WithCancel(context.Background())
		var streams []*Stream
		for i := range rapid.IntRange(1, 12).Draw(t, "requests") {
			request := Request{
				Prompt:    make([]int32, rapid.IntRange(1, 90).Draw(t, "prompt")),
				MaxTokens: rapid.IntRange(1, 20).Draw(t, "tokens"),
				Embed:     rapid.Bool().Draw(t, "embed"),
			}
			of := context.Background()
			if i%3 == 2 {
				of = ctx // these are given up somewhere on the way
			}
			more, err := s.Submit(of, request)
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, more...)
		}
		if _, err := streams[0].Next(context.Background()); err != nil {
			t.Fatal(err)
		}
		cancel()
		for _, stream := range streams {
			_, _, _, _ = answer(stream)
		}
		s.Close()
		var sum time.Duration
		for _, stream := range streams {
			sum += stream.Usage().Inference
		}
		if sum != runner.busy || s.Status().Busy != runner.busy {
			t.Fatalf("shares sum to %d ns, totals say %d ns, the runner was busy %d ns", sum, s.Status().Busy, runner.busy)
		}
	})
}

func TestRunnerGetsOnlyWhatItMayGet(t *testing.T) {
	runner := newHistoryRunner(40, 200)
	runner.before = func(batch *Batch) error {
		last := map[int32]int32{}
		for _, row := range batch.Rows {
			if before, seen := last[row.Sequence]; seen && row.Position != before+1 {
				t.Errorf("sequence %d: position %d after %d", row.Sequence, row.Position, before)
			}
			last[row.Sequence] = row.Position
			if int(row.Position/PageSize) >= len(batch.Tables[row.Sequence]) {
				t.Errorf("position %d without a page", row.Position)
			}
		}
		return nil
	}
	s := New(runner, byteTokenizer{}, WithSlots(4), WithStepTokens(32))
	defer s.Close()
	var streams []*Stream
	for i := range 20 {
		streams = append(streams, submit(t, s, Request{Prompt: make([]int32, 1+i*7), MaxTokens: 10})...)
	}
	for _, stream := range streams {
		if _, _, _, err := answer(stream); err != nil {
			t.Error(err)
		}
	}
	if runner.most > 32 {
		t.Errorf("a step had %d rows, allowed are 32", runner.most)
	}
}

func TestLongPromptDoesNotHoldUpOthers(t *testing.T) {
	runner := newHistoryRunner(400, 4000)
	both := make(chan struct{})
	together := 0
	runner.before = func(batch *Batch) error {
		<-both
		if len(batch.Tables) == 2 {
			together++
		}
		return nil
	}
	s := New(runner, byteTokenizer{}, WithSlots(4), WithStepTokens(32))
	defer s.Close()
	long := submit(t, s, Request{Prompt: make([]int32, 3500), MaxTokens: 1})[0]
	short := submit(t, s, Request{Prompt: make([]int32, 20), MaxTokens: 5, IgnoreEnd: true, CacheSalt: "other"})[0]
	close(both)
	for _, stream := range []*Stream{short, long} {
		if _, _, _, err := answer(stream); err != nil {
			t.Fatal(err)
		}
	}
	// Two steps for 20 tokens at half of 32 a step, four for the other tokens; the
	// long prompt needs 110.
	if together != 6 {
		t.Errorf("the short request took %d steps beside a long prompt, want 6", together)
	}
}

func TestCancelFreesPagesBeforeTheNextStep(t *testing.T) {
	runner := newHistoryRunner(64, 512)
	began, proceed := make(chan int), make(chan struct{})
	runner.before = func(batch *Batch) error {
		began <- len(batch.Tables)
		<-proceed
		return nil
	}
	s := New(runner, byteTokenizer{}, WithSlots(2))
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	streams, err := s.Submit(ctx, Request{Prompt: make([]int32, 40), MaxTokens: 400, IgnoreEnd: true})
	if err != nil {
		t.Fatal(err)
	}
	<-began // the loop is inside this step
	cancel()
	other := submit(t, s, Request{Prompt: []int32{1, 2, 3}, MaxTokens: 1, CacheSalt: "other"})
	proceed <- struct{}{}
	if sequences := <-began; sequences != 1 {
		t.Errorf("the step after the cancellation has %d sequences, want 1", sequences)
	}
	proceed <- struct{}{}
	if _, _, _, err := answer(streams[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled stream ended with %v", err)
	}
	if _, _, _, err := answer(other[0]); err != nil {
		t.Error(err)
	}
	if status := s.Status(); status.PagesInUse != 0 || status.Cancelled != 1 {
		t.Errorf("after all ended: %+v", status)
	}
}

func TestFailedStepEndsItsRequestsOnly(t *testing.T) {
	for _, panics := range []bool{false, true} {
		runner := newHistoryRunner(64, 512)
		broken := true
		runner.before = func(*Batch) error {
			switch {
			case broken && panics:
				panic("broken device")
			case broken:
				return errors.New("broken device")
			}
			return nil
		}
		s := New(runner, byteTokenizer{})
		_, _, _, err := answer(submit(t, s, Request{Prompt: make([]int32, 40), MaxTokens: 5})[0])
		if !errors.Is(err, ErrEngine) || !strings.Contains(err.Error(), "broken device") {
			t.Errorf("the failed request got %v", err)
		}
		broken = false
		prompt := make([]int32, 40)
		_, _, _, err = answer(submit(t, s, Request{Prompt: prompt, MaxTokens: 5})[0])
		if status := s.Status(); err != nil || status.CachedTokens != 0 || status.FailuresInRow != 0 || status.FailedSteps != 1 {
			t.Errorf("afterwards: %v, %+v", err, status)
		}
		s.Close()
	}
}

func TestTextThatMightHaveBeenAStopTextLeavesAtTheEnd(t *testing.T) {
	s := New(newHistoryRunner(64, 512), byteTokenizer{})
	defer s.Close()
	request := Request{Prompt: []int32{5}, MaxTokens: 20, IgnoreEnd: true}
	want, _, _, err := answer(submit(t, s, request)[0])
	if err != nil || want == "" {
		t.Fatal(want, err)
	}
	runes := []rune(want)
	request.Stop = []string{string(runes[len(runes)-3:]) + "never said"}
	if got, _, finish, err := answer(submit(t, s, request)[0]); got != want || finish != FinishLength || err != nil {
		t.Errorf("with a stop text that begins like the end: %q (%s, %v), want %q", got, finish, err, want)
	}
}

func TestLogitsThatAreNotNumbersEndOnlyTheirRequest(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		runner := newHistoryRunner(64, 512)
		runner.after = func(batch *Batch) {
			for i, at := range batch.Logits {
				if row := batch.Rows[at]; row.Position == 4 && row.Token == 7 {
					batch.LogitsOut[i][100] = bad
				}
			}
		}
		s := New(runner, byteTokenizer{})
		broken := submit(t, s, Request{Prompt: slices.Repeat([]int32{7}, 5), MaxTokens: 9, Sampling: Sampling{Temperature: 1}})[0]
		whole := submit(t, s, Request{Prompt: slices.Repeat([]int32{8}, 5), MaxTokens: 9, IgnoreEnd: true})[0]
		if _, _, _, err := answer(broken); !errors.Is(err, ErrEngine) {
			t.Errorf("logits with %v: ended with %v", bad, err)
		}
		if _, _, finish, err := answer(whole); err != nil || finish != FinishLength {
			t.Errorf("the other request ended with %q, %v", finish, err)
		}
		s.Close()
	}
}

func TestCloseEndsEverything(t *testing.T) {
	s := New(newHistoryRunner(64, 512), byteTokenizer{}, WithSlots(1))
	request := Request{Prompt: []int32{1, 2}, MaxTokens: 500, IgnoreEnd: true}
	streams := []*Stream{submit(t, s, request)[0], submit(t, s, request)[0]}
	s.Close()
	s.Close()
	for _, stream := range streams {
		if _, _, finish, err := answer(stream); err == nil && finish == "" || err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %q, %v", finish, err)
		}
	}
	if _, err := s.Submit(context.Background(), request); !errors.Is(err, ErrClosed) {
		t.Errorf("a request after Close got %v", err)
	}
}

func TestRequestsThatCannotRunAreRefused(t *testing.T) {
	s := New(newHistoryRunner(4, 512), byteTokenizer{}, WithSlots(2), WithQueue(1, time.Second))
	defer s.Close()
	if s.Context() != 64 {
		t.Errorf("the context is %d, four pages hold 64", s.Context())
	}
	for name, test := range map[string]struct {
		requests []Request
		want     string
	}{
		"empty prompt":     {[]Request{{MaxTokens: 1}}, "no tokens"},
		"foreign token":    {[]Request{{Prompt: []int32{300}, MaxTokens: 1}}, "prompt token 0 is 300"},
		"negative token":   {[]Request{{Prompt: []int32{1, -1}, MaxTokens: 1}}, "prompt token 1 is -1"},
		"foreign bias":     {[]Request{{Prompt: []int32{1}, MaxTokens: 1, Sampling: Sampling{Bias: map[int32]float32{300: 1}}}}, "bias for token 300"},
		"full context":     {[]Request{{Prompt: make([]int32, 64), MaxTokens: 1}}, "64 tokens, the context holds 64"},
		"nothing to do":    {[]Request{{Prompt: []int32{1}}}, "max_tokens is 0"},
		"too many choices": {slices.Repeat([]Request{{Prompt: []int32{1}, MaxTokens: 1}}, 4), "makes 4 requests"},
	} {
		if _, err := s.Submit(context.Background(), test.requests...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	stream := submit(t, s, Request{Prompt: make([]int32, 60), MaxTokens: 1000, IgnoreEnd: true})[0]
	if _, _, finish, err := answer(stream); err != nil || finish != FinishLength || stream.MaxTokens() != 4 {
		t.Errorf("a clamped request: %q, %v, at most %d tokens", finish, err, stream.MaxTokens())
	}
}

func TestEmbeddingIsTheMeanScaledToLengthOne(t *testing.T) {
	s := New(newHistoryRunner(64, 512), byteTokenizer{}, WithStepTokens(8))
	defer s.Close()
	stream := submit(t, s, Request{Prompt: slices.Repeat([]int32{7}, 21), Embed: true})[0]
	var got []float32
	for {
		update, err := stream.Next(context.Background())
		if err != nil {
			break
		}
		if update.Embedding != nil {
			got = update.Embedding
		}
	}
	// The mean of (1, 7, position, 2) over positions 0 to 20 is (1, 7, 10, 2).
	length := float32(12.409674)
	for i, want := range []float32{1 / length, 7 / length, 10 / length, 2 / length} {
		if len(got) != 4 || got[i]-want > 1e-6 || want-got[i] > 1e-6 {
			t.Fatalf("got %v, want element %d to be %v", got, i, want)
		}
	}
}
