package simulator

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestArrivalsHaveTheirVariation(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, want := range []float64{1, 3} {
		const n = 200_000
		sum, squares := 0., 0.
		for range n {
			x := gamma(random, want)
			sum += x
			squares += x * x
		}
		mean := sum / n
		if got := math.Sqrt(squares/n-mean*mean) / mean; math.Abs(mean-1) > .03 || math.Abs(got/want-1) > .05 {
			t.Errorf("mean %.3f, variation %.3f, want %.0f", mean, got, want)
		}
	}
}

func TestLengthsAndPopularityAreAsPublished(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	var tokens, turns, first int
	popular := zipf(40, 1)
	for range 20_000 {
		if outputOf(random) <= 151 {
			tokens++
		}
		turns += geometric(random, 6)
		if draw(random, popular) == 0 {
			first++
		}
	}
	if share := float64(tokens) / 20_000; math.Abs(share-.5) > .02 {
		t.Errorf("%.3f of the answers are below the median", share)
	}
	if mean := float64(turns) / 20_000; math.Abs(mean-6) > .3 {
		t.Errorf("%.2f turns", mean)
	}
	if share := float64(first) / 20_000; math.Abs(share-.234) > .02 {
		t.Errorf("the most popular of 40 has %.3f", share)
	}
}
