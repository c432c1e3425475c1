package engine

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// distribution is the oracle: the probability of each token, computed from a
// full sort in the plainest way.
func distribution(logits []float32, settings Sampling) []float64 {
	ids := make([]int, len(logits))
	for id := range ids {
		ids[id] = id
	}
	slices.SortStableFunc(ids, func(a, b int) int {
		switch {
		case logits[a] > logits[b]:
			return -1
		case logits[a] < logits[b]:
			return 1
		}
		return 0
	})
	if settings.TopK > 0 && settings.TopK < len(ids) {
		ids = ids[:settings.TopK]
	}
	weight := func(id int) float64 {
		return math.Exp(float64(logits[id]-logits[ids[0]]) / settings.Temperature)
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id int) bool { return weight(id) < settings.MinP })
	total := 0.0
	for _, id := range ids {
		total += weight(id)
	}
	if settings.TopP > 0 && settings.TopP < 1 {
		sum, kept := 0.0, 0
		for sum < settings.TopP*total && kept < len(ids) {
			sum += weight(ids[kept])
			kept++
		}
		ids, total = ids[:kept], sum
	}
	chances := make([]float64, len(logits))
	for _, id := range ids {
		chances[id] = weight(id) / total
	}
	return chances
}

func TestTokensAreDrawnWithTheirProbabilities(t *testing.T) {
	for name, settings := range map[string]Sampling{
		"temperature 1":   {Temperature: 1},
		"temperature 0.3": {Temperature: 0.3},
		"temperature 2":   {Temperature: 2},
		"top-k":           {Temperature: 1, TopK: 5},
		"top-k of one":    {Temperature: 1.5, TopK: 1},
		"top-k of all":    {Temperature: 1, TopK: 1000},
		"top-p":           {Temperature: 1, TopP: 0.6},
		"tiny top-p":      {Temperature: 1, TopP: 1e-9},
		"min-p":           {Temperature: 0.8, MinP: 0.1},
		"min-p of one":    {Temperature: 0.8, MinP: 1},
		"all filters":     {Temperature: 0.9, TopK: 12, TopP: 0.8, MinP: 0.02},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			logits := make([]float32, 40)
			for id := range logits {
				logits[id] = float32(random.NormFloat64() * 2)
			}
			want := distribution(logits, settings)
			settings.Seed = 7
			s, scratch := newSampler(settings), &ranking{}
			const draws = 20000
			counts := make([]float64, len(logits))
			for range draws {
				counts[s.sample(slices.Clone(logits), nil, scratch)]++
			}
			for id, count := range counts {
				// Six standard deviations, and what rare tokens scatter beyond that.
				bound := 6*math.Sqrt(draws*want[id]*(1-want[id])) + 3
				if want[id] == 0 && count > 0 || math.Abs(count-draws*want[id]) > bound {
					t.Errorf("token %d was drawn %.0f times of %d, its chance is %.4f", id, count, draws, want[id])
				}
			}
		})
	}
}

func TestSameSeedDrawsTheSameTokens(t *testing.T) {
	draw := func(seed uint64) (ids []int32) {
		s, scratch := newSampler(Sampling{Temperature: 1, Seed: seed}), &ranking{}
		for range 50 {
			ids = append(ids, s.sample(historyLogits(ids), ids, scratch))
		}
		return ids
	}
	if !slices.Equal(draw(3), draw(3)) || slices.Equal(draw(3), draw(4)) {
		t.Error("a seed does not decide the tokens")
	}
}

func TestPenaltiesAndBiasMoveLogits(t *testing.T) {
	history := []int32{0, 1, 1, 2}
	for name, test := range map[string]struct {
		settings Sampling
		used     map[int32]int
		want     []float32
	}{
		"nothing":           {Sampling{}, nil, []float32{4, -4, 3, 2}},
		"repeat":            {Sampling{RepeatPenalty: 2}, nil, []float32{2, -8, 1.5, 2}},
		"repeat in window":  {Sampling{RepeatPenalty: 2, RepeatWindow: 1}, nil, []float32{4, -4, 1.5, 2}},
		"repeat everywhere": {Sampling{RepeatPenalty: 2, RepeatWindow: -1}, nil, []float32{2, -8, 1.5, 2}},
		"frequency":         {Sampling{FrequencyPenalty: 0.5}, map[int32]int{1: 2, 2: 1}, []float32{4, -5, 2.5, 2}},
		"presence":          {Sampling{PresencePenalty: 0.5}, map[int32]int{1: 2, 2: 1}, []float32{4, -4.5, 2.5, 2}},
		"bias":              {Sampling{Bias: map[int32]float32{3: 100}}, nil, []float32{4, -4, 3, 102}},
	} {
		s := newSampler(test.settings)
		s.used = test.used
		logits := []float32{4, -4, 3, 2}
		if s.penalise(logits, history); !slices.Equal(logits, test.want) {
			t.Errorf("%s: %v, want %v", name, logits, test.want)
		}
	}
}

func TestPenaltyCountsOnlyTheAnswer(t *testing.T) {
	s := newSampler(Sampling{PresencePenalty: 1})
	scratch := &ranking{}
	var drawn []int32
	for range 3 {
		drawn = append(drawn, s.sample([]float32{1, 1.5, 1.2}, []int32{1, 1}, scratch))
	}
	if want := []int32{1, 2, 0}; !slices.Equal(drawn, want) {
		t.Errorf("drew %v, want %v", drawn, want)
	}
}

func TestLogprobsAreTheModelsOwn(t *testing.T) {
	logits := []float32{1, 3, 2, 3, -50}
	sum := 0.0
	for _, logit := range logits {
		sum += math.Exp(float64(logit))
	}
	b := stepBuffers{logitRow: []int{0}, batch: Batch{LogitsOut: [][]float32{slices.Clone(logits)}}}
	one := &sequence{request: Request{Logprobs: true, TopLogprobs: 3}, sampler: newSampler(Sampling{Bias: map[int32]float32{2: 50}})}
	b.sequences = []*sequence{one}
	got := b.drawFor(0, &ranking{}).token
	if got.ID != 2 || math.Abs(float64(got.Logprob)-(2-math.Log(sum))) > 1e-6 {
		t.Errorf("token %+v, want id 2 with the logprob before the bias", got)
	}
	if len(got.Top) != 3 || got.Top[0].ID != 1 || got.Top[1].ID != 3 || got.Top[2].ID != 2 {
		t.Errorf("the likeliest are %+v, want 1, 3, 2", got.Top)
	}
}

func TestRankingKeepsTheLargest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float32Range(0, 8).AsAny(), 1, 60).Draw(t, "values")
		r := &ranking{}
		for _, value := range values {
			r.values = append(r.values, float32(math.Round(float64(value.(float32))))) // many equal ones
		}
		sorted := make([]int32, len(r.values))
		for id := range sorted {
			sorted[id] = int32(id)
		}
		slices.SortFunc(sorted, func(a, b int32) int {
			if r.before(a, b) {
				return -1
			}
			return 1
		})
		count := rapid.IntRange(1, len(values)).Draw(t, "count")
		r.keepFirst(count)
		slices.Sort(r.ids)
		want := slices.Clone(sorted[:count])
		slices.Sort(want)
		if !slices.Equal(r.ids, want) {
			t.Fatalf("the first %d of %v are %v, want %v", count, r.values, r.ids, want)
		}
		r.keepAll()
		need := rapid.Float64Range(0, 200).Draw(t, "need")
		sum := r.keepSum(need)
		kept := len(r.ids)
		before := sum - float64(r.values[sorted[kept-1]])
		if kept < len(values) && sum < need || kept > 1 && before >= need {
			t.Fatalf("%d tokens with sum %v kept for %v", kept, sum, need)
		}
		for _, id := range sorted[:kept] {
			if !slices.Contains(r.ids, id) {
				t.Fatalf("token %d is missing in %v", id, r.ids)
			}
		}
	})
}

func BenchmarkSample(b *testing.B) {
	logits := make([]float32, 150000)
	random := rand.New(rand.NewPCG(1, 2))
	for id := range logits {
		logits[id] = float32(random.NormFloat64() * 3)
	}
	for name, settings := range map[string]Sampling{
		"greedy": {}, "temperature": {Temperature: 0.7}, "top_k=40": {Temperature: 0.7, TopK: 40},
		"top_p=0.95": {Temperature: 0.7, TopP: 0.95}, "min_p=0.05": {Temperature: 0.7, MinP: 0.05},
	} {
		b.Run(name, func(b *testing.B) {
			s, scratch, row := newSampler(settings), &ranking{}, make([]float32, len(logits))
			for b.Loop() {
				copy(row, logits)
				s.sample(row, nil, scratch)
			}
		})
	}
}

// Logarithms have to go into JSON, which knows no infinity.
func TestLogprobsAreNumbersHoweverFarTheLogitsLieApart(t *testing.T) {
	runner := newHistoryRunner(64, 512)
	runner.after = func(batch *Batch) {
		for _, logits := range batch.LogitsOut {
			for id := range logits {
				logits[id] = -math.MaxFloat32
			}
			logits[7] = math.MaxFloat32
		}
	}
	s := New(runner, byteTokenizer{})
	defer s.Close()
	stream := submit(t, s, Request{Prompt: []int32{1}, MaxTokens: 1, Logprobs: true, TopLogprobs: 3})[0]
	for {
		update, err := stream.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range update.Tokens {
			if token.ID != 7 || token.Logprob != 0 || len(token.Top) != 3 {
				t.Errorf("drew %+v", token)
			}
			for _, one := range token.Top {
				if math.IsInf(float64(one.Logprob), 0) {
					t.Errorf("token %d has the log probability %v", one.ID, one.Logprob)
				}
			}
		}
		if update.Finish != "" {
			return
		}
	}
}
