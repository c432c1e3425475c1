package simulator

import (
	"testing"
	"time"
)

// serve runs an engine alone until all its calls have ended, and returns how long it took.
func serve(e *engine, requests ...*Request) time.Duration {
	for _, q := range requests {
		q.prepare()
		e.add(q)
	}
	now := time.Duration(0)
	for len(e.waiting)+len(e.running) > 0 {
		e.admit()
		now += e.step()
		e.finish(func(q *Request) { q.First = now }, func(q *Request) { q.Ended = now })
	}
	return now
}

func TestAStepTakesWhatTheModelSays(t *testing.T) {
	e := newEngine(H100)
	q := &Request{Prompt: []Segment{{1, 4096, "user"}}, Output: 101}
	serve(e, q)
	prefill := 4096/30.8e3 + 4096*2048*1.06e-9 + .0015
	if got := q.First.Seconds(); got < prefill || got > prefill*1.01 {
		t.Errorf("the first token of 4,096 came after %.4f s, want %.4f", got, prefill)
	}
	each := (q.Ended - q.First).Seconds() / 100
	if each < .0083 || each > .0087 { // the step, the weights and 4,200 tokens of context
		t.Errorf("%.5f s for each token of an answer", each)
	}
}

func TestAPromptIsComputedOnce(t *testing.T) {
	e := newEngine(H100)
	first := &Request{Session: 1, Prompt: []Segment{{1, 3000, "user"}}, Output: 200}
	serve(e, first)
	again := &Request{Session: 1, Prompt: []Segment{{1, 3000, "user"}, {answerID(first), 200, "assistant"}, {2, 100, "user"}}, Output: 1}
	serve(e, again)
	if first.Cached != 0 || again.Cached < 3200-2*blockTokens || again.Cached > 3200 {
		t.Errorf("cached: %d of the first call, %d of the second", first.Cached, again.Cached)
	}
}

func TestCallsThatDoNotFitTogetherAllEnd(t *testing.T) {
	small := H100
	small.KVTokens = 3000
	e := newEngine(small)
	var requests []*Request
	for i := range uint64(6) {
		requests = append(requests, &Request{Session: i, Prompt: []Segment{{i, 900, "user"}}, Output: 800})
	}
	serve(e, requests...)
	for i, q := range requests {
		if q.Ended == 0 || q.First == 0 {
			t.Errorf("call %d: %+v", i, q)
		}
	}
	if e.cache.private != 0 || len(e.cache.blocks) != e.cache.free {
		t.Errorf("%d blocks private, %d of %d unused after all calls", e.cache.private, e.cache.free, len(e.cache.blocks))
	}
}
