package forecast

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestABucketHoldsItsValuesAndIsAnEighthWide(t *testing.T) {
	last := int64(-1)
	for bucket := range quantileBuckets {
		end := bucketEnd(bucket)
		if bucketOf(last+1) != bucket || bucketOf(end) != bucket {
			t.Fatalf("bucket %d: %d is in %d, %d in %d", bucket, last+1, bucketOf(last+1), end, bucketOf(end))
		}
		if width := end - last; width > 1 && width*bucketsPerOctave > last+1 {
			t.Errorf("bucket %d reaches from %d to %d", bucket, last+1, end)
		}
		last = end
	}
	if last < 1<<23 {
		t.Errorf("the last bucket ends at %d", last)
	}
}

// The oracle sorts all samples.
func TestAQuantileIsThatOfTheSamples(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var q quantile
		if _, ok := q.value(); ok {
			t.Fatal("a quantile of nothing")
		}
		largest := 1 + random.Int64N(1<<22)
		samples := make([]int64, 1+random.IntN(60)) // few enough to weigh about the same
		for i := range samples {
			samples[i] = random.Int64N(largest)
			q.add(samples[i])
		}
		slices.Sort(samples)
		got, _ := q.value()
		// Newer samples weigh more, so that the rank is not exact.
		low, high := samples[len(samples)*85/100], samples[len(samples)-1]
		if got < low || got > high+high/bucketsPerOctave+1 {
			t.Fatalf("%d of %d samples from %d to %d", got, len(samples), low, high)
		}
	}
}

func TestAQuantileForgets(t *testing.T) {
	var q quantile
	for range 10_000 {
		q.add(100_000)
	}
	for range 2000 {
		q.add(10)
	}
	if got, _ := q.value(); got != 10 {
		t.Errorf("%d after 2000 samples of 10", got)
	}
	for range 40 {
		q.add(5000)
	}
	if got, _ := q.value(); got < 5000 || got > 5625 {
		t.Errorf("%d after 40 samples of 5000", got)
	}
	for range 20_000 { // the weights do not overflow
		q.add(7)
	}
	if got, _ := q.value(); got != 7 || q.total <= 0 {
		t.Errorf("%d, total %f", got, q.total)
	}
}
