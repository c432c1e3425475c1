package balance

import (
	"math"
	"testing"
)

// fixedPool is a pool in a given state.
type fixedPool struct {
	down     map[int]bool
	inFlight map[int]int
}

func (p fixedPool) Available(i int) bool { return !p.down[i] }
func (p fixedPool) InFlight(i int) int   { return p.inFlight[i] }

func TestPickSharesByWeight(t *testing.T) {
	upstreams := []Upstream{
		{Address: "a:1", Weight: new(8)},
		{Address: "b:1", Weight: new(1), Slots: 2},
		{Address: "c:1"},
		{Address: "d:1", Weight: new(5), Models: []string{"large"}},
	}
	tests := []struct {
		name  string
		model string
		pool  fixedPool
		want  []float64 // expected share of each upstream
	}{
		{"all of them for a call without a model", "", fixedPool{}, []float64{8. / 15, 1. / 15, 1. / 15, 5. / 15}},
		{"a model that one names goes to it and to those that serve all", "large", fixedPool{}, []float64{8. / 15, 1. / 15, 1. / 15, 5. / 15}},
		{"a model that none names avoids those that name others", "small", fixedPool{}, []float64{.8, .1, .1, 0}},
		{"the heavy one down leaves equal shares", "small", fixedPool{down: map[int]bool{0: true}}, []float64{0, .5, .5, 0}},
		{"full slots are avoided", "small", fixedPool{inFlight: map[int]int{1: 2, 2: 99}}, []float64{8. / 9, 0, 1. / 9, 0}},
		{"one slot left counts", "small", fixedPool{inFlight: map[int]int{1: 1}}, []float64{.8, .1, .1, 0}},
		{"full slots are taken when nothing else is left", "small", fixedPool{
			down: map[int]bool{0: true, 2: true}, inFlight: map[int]int{1: 7},
		}, []float64{0, 1, 0, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, err := NewWeighted(upstreams)
			if err != nil {
				t.Fatal(err)
			}
			const draws = 40_000
			got := make([]float64, len(upstreams))
			for range draws {
				i, ok := w.Pick(test.model, test.pool)
				if !ok {
					t.Fatal("no upstream was picked")
				}
				got[i]++
			}
			for i := range got {
				share := got[i] / draws
				// Six standard deviations: a false alarm in about 10^9 runs.
				allowed := 6 * math.Sqrt(test.want[i]*(1-test.want[i])/draws)
				if math.Abs(share-test.want[i]) > allowed {
					t.Errorf("upstream %d got the share %.4f, want %.4f +- %.4f", i, share, test.want[i], allowed)
				}
			}
		})
	}
}

func TestPickKeepsTheProportionsOfWhatIsLeftAfterManyMisses(t *testing.T) {
	// With 99.9 % of the weight down nearly every pick ends in the scan.
	w, err := NewWeighted([]Upstream{{Address: "a:1", Weight: new(100_000)}, {Address: "b:1", Weight: new(75)}, {Address: "c:1", Weight: new(25)}})
	if err != nil {
		t.Fatal(err)
	}
	pool := fixedPool{down: map[int]bool{0: true}}
	const draws = 40_000
	var b float64
	for range draws {
		if i, ok := w.Pick("", pool); !ok || i == 0 {
			t.Fatalf("picked %d, %v", i, ok)
		} else if i == 1 {
			b++
		}
	}
	if share := b / draws; math.Abs(share-.75) > 6*math.Sqrt(.75*.25/draws) {
		t.Errorf("the upstream with weight 75 of 100 got the share %.4f", share)
	}
}

func TestPickFindsNothing(t *testing.T) {
	w, err := NewWeighted([]Upstream{{Address: "a:1", Models: []string{"tiny"}}})
	if err != nil {
		t.Fatal(err)
	}
	if i, ok := w.Pick("large", fixedPool{}); ok {
		t.Errorf("upstream %d was picked for a model that it does not serve", i)
	}
	if i, ok := w.Pick("tiny", fixedPool{down: map[int]bool{0: true}}); ok {
		t.Errorf("upstream %d was picked though it is down", i)
	}
	empty, err := NewWeighted(nil)
	if err != nil {
		t.Fatal(err)
	}
	if i, ok := empty.Pick("", fixedPool{}); ok {
		t.Errorf("upstream %d was picked from an empty pool", i)
	}
}

func TestNewWeightedRefusesBadUpstreams(t *testing.T) {
	for name, upstream := range map[string]Upstream{
		"no address":      {},
		"negative weight": {Address: "a:1", Weight: new(-1)},
		"huge weight":     {Address: "a:1", Weight: new(MaxWeight + 1)},
		"negative slots":  {Address: "a:1", Slots: -1},
		"unknown kind":    {Address: "a:1", Kind: "abacus"},
		"empty model":     {Address: "a:1", Models: []string{""}},
		"doubled model":   {Address: "a:1", Models: []string{"x", "x"}},
	} {
		if _, err := NewWeighted([]Upstream{upstream}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	upstreams := make([]Upstream, 16)
	for i := range upstreams {
		upstreams[i] = Upstream{Address: "a:1", Weight: new(i + 1), Models: []string{"tiny"}}
	}
	w, err := NewWeighted(upstreams)
	if err != nil {
		b.Fatal(err)
	}
	for name, pool := range map[string]fixedPool{"all up": {}, "most weight down": {
		down: map[int]bool{15: true, 14: true, 13: true, 12: true, 11: true, 10: true},
	}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.Pick("tiny", pool)
			}
		})
	}
}
