package engine

import (
	"math"
	"math/rand/v2"
	"slices"
)

const defaultRepeatWindow = 64

// sampler draws the tokens of one sequence. It is deterministic: the same
// logits, settings and seed give the same tokens.
type sampler struct {
	settings Sampling
	random   *rand.Rand
	used     map[int32]int // how often each token was generated; nil if not needed
}

func newSampler(settings Sampling) *sampler {
	s := &sampler{settings: settings}
	if settings.Temperature > 0 {
		// The second word is any constant: one seed, one stream.
		s.random = rand.New(rand.NewPCG(settings.Seed, 0x70656e73746f636b))
	}
	if settings.FrequencyPenalty != 0 || settings.PresencePenalty != 0 {
		s.used = map[int32]int{}
	}
	return s
}

// sample draws the next token after history. It changes logits. The scratch
// space may be shared by samplers that do not run at the same time.
func (s *sampler) sample(logits []float32, history []int32, scratch *ranking) int32 {
	s.penalise(logits, history)
	var id int32
	if s.settings.Temperature <= 0 {
		id = likeliest(logits)
	} else {
		id = s.draw(logits, scratch)
	}
	if s.used != nil {
		s.used[id]++
	}
	return id
}

func (s *sampler) penalise(logits []float32, history []int32) {
	if penalty := float32(s.settings.RepeatPenalty); penalty != 0 && penalty != 1 {
		for id := range s.recent(history) {
			if logits[id] > 0 {
				logits[id] /= penalty
			} else {
				logits[id] *= penalty
			}
		}
	}
	for id, count := range s.used {
		logits[id] -= float32(s.settings.FrequencyPenalty*float64(count) + s.settings.PresencePenalty)
	}
	for id, bias := range s.settings.Bias {
		logits[id] += bias
	}
}

// recent is the set of tokens in the repeat window.
func (s *sampler) recent(history []int32) map[int32]struct{} {
	window := s.settings.RepeatWindow
	if window == 0 {
		window = defaultRepeatWindow
	}
	if window > 0 && len(history) > window {
		history = history[len(history)-window:]
	}
	seen := make(map[int32]struct{}, len(history))
	for _, id := range history {
		seen[id] = struct{}{}
	}
	return seen
}

func likeliest(logits []float32) int32 {
	best := 0
	for id, logit := range logits {
		if logit > logits[best] {
			best = id
		}
	}
	return int32(best)
}

// draw applies top-k, min-p and top-p, each to what the one before has left, and
// draws from the rest at the temperature.
func (s *sampler) draw(logits []float32, kept *ranking) int32 {
	kept.values = logits
	if k := s.settings.TopK; k > 0 && k < len(logits) {
		kept.keepFirst(k)
	} else {
		kept.keepAll()
	}
	top := logits[likeliest(logits)]
	if s.settings.MinP > 0 {
		bound := top + float32(s.settings.Temperature*math.Log(s.settings.MinP))
		kept.ids = slices.DeleteFunc(kept.ids, func(id int32) bool { return logits[id] < bound })
	}
	sum := 0.0
	for _, id := range kept.ids {
		logits[id] = float32(math.Exp(float64(logits[id]-top) / s.settings.Temperature))
		sum += float64(logits[id])
	}
	if p := s.settings.TopP; p > 0 && p < 1 {
		// All that lies below this bound sums to less than what top-p leaves out, so
		// it need not be ordered.
		bound := float32((1 - p) * sum / float64(len(kept.ids)))
		kept.ids = slices.DeleteFunc(kept.ids, func(id int32) bool { return logits[id] < bound })
		sum = kept.keepSum(p * sum)
	}
	target := s.random.Float64() * sum
	for _, id := range kept.ids {
		if target -= float64(logits[id]); target < 0 {
			return id
		}
	}
	return kept.ids[0] // rounding left a crumb
}

// ranking is a set of token ids that can be narrowed to the ones with the largest
// values without ordering all of them.
type ranking struct {
	values []float32
	ids    []int32
}

func (r *ranking) keepAll() {
	r.ids = slices.Grow(r.ids[:0], len(r.values))[:len(r.values)]
	for id := range r.ids {
		r.ids[id] = int32(id)
	}
}

// before is the order: the largest value first, the lowest id among equals.
func (r *ranking) before(a, b int32) bool {
	return r.values[a] > r.values[b] || r.values[a] == r.values[b] && a < b
}

// keepFirst keeps the count tokens with the largest values, in a heap whose root
// is the last of them: one comparison for nearly every token.
func (r *ranking) keepFirst(count int) {
	r.ids = r.ids[:0]
	after := func(a, b int32) bool { return r.before(b, a) }
	for id := range int32(len(r.values)) {
		switch {
		case len(r.ids) < count:
			if r.ids = append(r.ids, id); len(r.ids) == count {
				heapify(r.ids, after)
			}
		case r.before(id, r.ids[0]):
			r.ids[0] = id
			sink(r.ids, 0, after)
		}
	}
}

// keepSum keeps the tokens with the largest values that reach need together, at
// least one, and returns their sum.
func (r *ranking) keepSum(need float64) float64 {
	heapify(r.ids, r.before)
	// Each token taken moves behind the shrinking heap.
	heap, sum := r.ids, 0.0
	for len(heap) > 0 && (len(heap) == len(r.ids) || sum < need) {
		sum += float64(r.values[heap[0]])
		last := len(heap) - 1
		heap[0], heap[last] = heap[last], heap[0]
		heap = heap[:last]
		sink(heap, 0, r.before)
	}
	r.ids = r.ids[len(heap):]
	return sum
}

// heapify makes a binary heap with the first of the order at the root.
func heapify(ids []int32, before func(a, b int32) bool) {
	for i := len(ids)/2 - 1; i >= 0; i-- {
		sink(ids, i, before)
	}
}

func sink(ids []int32, at int, before func(a, b int32) bool) {
	for {
		first := at
		for child := 2*at + 1; child <= 2*at+2 && child < len(ids); child++ {
			if before(ids[child], ids[first]) {
				first = child
			}
		}
		if first == at {
			return
		}
		ids[at], ids[first] = ids[first], ids[at]
		at = first
	}
}

// finite reports whether all values are numbers.
func finite(values []float32) bool {
	for _, value := range values {
		if value-value != 0 {
			return false
		}
	}
	return true
}

// logSum is log(sum(exp(logits))), computed without overflow.
func logSum(logits []float32) float64 {
	top := float64(logits[likeliest(logits)])
	sum := 0.0
	for _, logit := range logits {
		sum += math.Exp(float64(logit) - top)
	}
	return top + math.Log(sum)
}

// logprob is the log probability of a logit, normal being logSum of all. It is
// finite even where two logits lie further apart than a float32 reaches.
func logprob(logit float32, normal float64) float32 {
	return float32(max(float64(logit)-normal, -math.MaxFloat32))
}

// candidates are the count likeliest tokens, normal being logSum of the logits.
func candidates(logits []float32, count int, normal float64, scratch *ranking) []Candidate {
	if count == 0 {
		return nil
	}
	scratch.values = logits
	scratch.keepFirst(min(count, len(logits)))
	slices.SortFunc(scratch.ids, func(a, b int32) int {
		if scratch.before(a, b) {
			return -1
		}
		return 1
	})
	list := make([]Candidate, len(scratch.ids))
	for i, id := range scratch.ids {
		list[i] = Candidate{ID: id, Logprob: logprob(logits[id], normal)}
	}
	return list
}
