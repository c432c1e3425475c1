package simulator

import "math"

// Capacity returns the highest rate at which a router meets the target in the mean of some
// seeds, to about 3 %, looking around the rate of the config.
func Capacity(config Config, router Named, target Target, seeds int) float64 {
	meets := func(rate float64) bool {
		results := make([]Result, seeds)
		for seed := range results {
			one := config
			one.Rate, one.Seed = rate, config.Seed+uint64(seed)
			results[seed] = Simulate(one, router.Make)
		}
		mean := Mean(results)
		return mean.Meets(target)
	}
	const step, fine = 1.25, 1.02
	low, high := config.Rate, config.Rate*step
	if meets(low) {
		for meets(high) && high < 64*config.Rate {
			low, high = high, high*step
		}
	} else {
		for low, high = low/step, low; !meets(low) && low > config.Rate/64; {
			low, high = low/step, low
		}
	}
	for high/low > fine {
		if middle := math.Sqrt(low * high); meets(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// GeometricMean returns the geometric mean of ratios.
func GeometricMean(ratios []float64) float64 {
	sum := 0.
	for _, ratio := range ratios {
		sum += math.Log(ratio)
	}
	return math.Exp(sum / float64(len(ratios)))
}
