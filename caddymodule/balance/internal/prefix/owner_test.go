package prefix

import (
	"math"
	"math/rand/v2"
	"testing"
)

func owner(hash uint64, seeds []uint64, weights []float64) int {
	best := 0
	for i := range seeds {
		if Rank(hash, seeds[i], weights[i]) > Rank(hash, seeds[best], weights[best]) {
			best = i
		}
	}
	return best
}

func TestOwnersShareByWeightAndStayWhenOthersGo(t *testing.T) {
	seeds, weights := []uint64{11, 22, 33, 44}, []float64{1, 1, 2, 4}
	const hashes = 40_000
	var share [4]float64
	random := rand.New(rand.NewPCG(1, 2))
	for range hashes {
		hash := random.Uint64()
		one := owner(hash, seeds, weights)
		share[one] += 1. / hashes
		if left := owner(hash, seeds[:3], weights[:3]); one != 3 && left != one {
			t.Fatal("a hash moved though its owner stayed")
		}
	}
	for i, weight := range weights {
		if want := weight / 8; math.Abs(share[i]-want) > .015 {
			t.Errorf("server %d owns %.3f, want %.3f", i, share[i], want)
		}
	}
}
