package engine

import (
	"container/heap"
	"math"
	"math/rand/v2"
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

// sample draws the next token after history. It uses logits as scratch space.
func (s *sampler) sample(logits []float32, history []int32) int32 {
	s.penalise(logits, history)
	var id int32
	if s.settings.Temperature <= 0 {
		id = likeliest(logits)
	} else {
		id = s.draw(logits)
	}
	if s.used != nil {
		s.used[id]++
	}
	return id
}

func (s *sampler) penalise(logits []float32, history []int32) {
	if penalty := float32(s.settings.RepeatPenalty); penalty != 0 && penalty != 1 {
		window := s.settings.RepeatWindow
		if window == 0 {
			window = defaultRepeatWindow
		}
		if window > 0 && len(history) > window {
			history = history[len(history)-window:]
		}
		seen := make(map[int32]struct{}, len(history))
		for _, id := range history {
			if _, again := seen[id]; again {
				continue
			}
			seen[id] = struct{}{}
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

func likeliest(logits []float32) int32 {
	best := 0
	for id, logit := range logits {
		if logit > logits[best] {
			best = id
		}
	}
	return int32(best)
}

// draw applies temperature, then top-k, min-p and top-p, and draws from what is
// left. Filters are relative to the distribution at that temperature.
func (s *sampler) draw(logits []float32) int32 {
	weights := softmaxWeights(logits, s.settings.Temperature)
	filtersByRank := s.settings.TopK > 0 && s.settings.TopK < len(weights) || s.settings.TopP > 0 && s.settings.TopP < 1
	if filtersByRank {
		return s.drawRanked(weights)
	}
	// The likeliest weight is exactly 1, so MinP is the bound itself.
	sum := 0.0
	for id, weight := range weights {
		if float64(weight) < s.settings.MinP {
			weights[id] = 0
			continue
		}
		sum += float64(weight)
	}
	target := s.random.Float64() * sum
	last := int32(0)
	for id, weight := range weights {
		if weight == 0 {
			continue
		}
		last = int32(id)
		if target -= float64(weight); target < 0 {
			break
		}
	}
	return last
}

// drawRanked takes tokens from a heap, likeliest first, until the filters are
// satisfied: only those few are ever ordered.
func (s *sampler) drawRanked(weights []float32) int32 {
	total := 0.0
	for _, weight := range weights {
		total += float64(weight)
	}
	ranked := newRanking(weights)
	limit := s.settings.TopK
	if limit <= 0 {
		limit = len(weights)
	}
	need := math.Inf(1)
	if s.settings.TopP > 0 && s.settings.TopP < 1 {
		need = s.settings.TopP
		if s.settings.TopK > 0 {
			total = ranked.sumOfFirst(limit) // top-p acts on what top-k left
			ranked = newRanking(weights)
		}
		need *= total
	}
	var kept []int32
	sum := 0.0
	for len(kept) < limit && ranked.Len() > 0 && (len(kept) == 0 || sum < need) {
		id := heap.Pop(ranked).(int32)
		if len(kept) > 0 && float64(weights[id]) < s.settings.MinP {
			break
		}
		kept = append(kept, id)
		sum += float64(weights[id])
	}
	target := s.random.Float64() * sum
	for _, id := range kept {
		if target -= float64(weights[id]); target < 0 {
			return id
		}
	}
	return kept[len(kept)-1]
}

// softmaxWeights replaces logits by exp((logit-max)/temperature).
func softmaxWeights(logits []float32, temperature float64) []float32 {
	top := logits[likeliest(logits)]
	for id, logit := range logits {
		logits[id] = float32(math.Exp(float64(logit-top) / temperature))
	}
	return logits
}

// ranking is a heap of token ids, the largest value first, the lowest id among
// equals.
type ranking struct {
	values []float32
	ids    []int32
}

func newRanking(values []float32) *ranking {
	r := &ranking{values: values, ids: make([]int32, len(values))}
	for id := range r.ids {
		r.ids[id] = int32(id)
	}
	heap.Init(r)
	return r
}

func (r *ranking) sumOfFirst(count int) float64 {
	sum := 0.0
	for range min(count, r.Len()) {
		sum += float64(r.values[heap.Pop(r).(int32)])
	}
	return sum
}

func (r *ranking) Len() int { return len(r.ids) }

func (r *ranking) Less(i, j int) bool {
	a, b := r.ids[i], r.ids[j]
	if r.values[a] != r.values[b] {
		return r.values[a] > r.values[b]
	}
	return a < b
}

func (r *ranking) Swap(i, j int) { r.ids[i], r.ids[j] = r.ids[j], r.ids[i] }

// Push completes heap.Interface; a ranking only shrinks.
func (r *ranking) Push(id any) { r.ids = append(r.ids, id.(int32)) }

// Pop takes the last id for package heap.
func (r *ranking) Pop() any {
	id := r.ids[len(r.ids)-1]
	r.ids = r.ids[:len(r.ids)-1]
	return id
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

// candidates are the count likeliest tokens under the model's own distribution.
func candidates(logits []float32, count int) []Candidate {
	if count == 0 {
		return nil
	}
	normal := logSum(logits)
	ranked := newRanking(logits)
	list := make([]Candidate, 0, count)
	for len(list) < count && ranked.Len() > 0 {
		id := heap.Pop(ranked).(int32)
		list = append(list, Candidate{ID: id, Logprob: float32(float64(logits[id]) - normal)})
	}
	return list
}
