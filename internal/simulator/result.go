package simulator

import (
	"math"
	"slices"
	"time"
)

// Result is what calls experienced that arrived after the warm-up.
type Result struct {
	Calls       int           `json:"calls"`
	Served      int           `json:"served"`
	TTFT50      time.Duration `json:"ttft_p50"`
	TTFT95      time.Duration `json:"ttft_p95"`
	TPOT95      time.Duration `json:"tpot_p95"`
	Hit         float64       `json:"hit"`          // share of the prompts' tokens that were cached
	OutputRate  float64       `json:"output_rate"`  // tokens per second
	LongestIdle time.Duration `json:"longest_idle"` // of an engine, while another one had a queue
	// ByOwner is the 95th percentile of the time to the first token of each owner's calls.
	ByOwner map[string]time.Duration `json:"-"`
}

// Target is what calls may take.
type Target struct{ TTFT95, TPOT95 time.Duration }

// DefaultTarget is one second to the first token, and 13 tokens per second after it.
var DefaultTarget = Target{time.Second, 75 * time.Millisecond}

// Meets says that the result is within a target.
func (r *Result) Meets(t Target) bool {
	return r.Calls > 0 && r.TTFT95 <= t.TTFT95 && r.TPOT95 <= t.TPOT95
}

// never is the time that a call takes which was not served in the run.
const never = time.Hour

func (r *Run) measure() Result {
	result := Result{LongestIdle: r.idle, ByOwner: map[string]time.Duration{}}
	var first, each []time.Duration
	byOwner := map[string][]time.Duration{}
	tokens, cached, output := 0, 0, 0
	for _, q := range r.served {
		if q.Arrived < r.config.Warmup || q.Arrived > r.config.Length {
			continue
		}
		result.Calls++
		wait := never
		if q.First > 0 {
			wait = q.First - q.Arrived
			tokens += q.Tokens
			cached += q.Cached
		}
		first = append(first, wait)
		byOwner[q.Owner] = append(byOwner[q.Owner], wait)
		if q.Ended > 0 {
			result.Served++
			output += q.Output
			if q.Output > 1 {
				each = append(each, (q.Ended-q.First)/time.Duration(q.Output-1))
			}
		}
	}
	result.TTFT50, result.TTFT95 = quantile(first, .5), quantile(first, .95)
	result.TPOT95 = quantile(each, .95)
	for owner, waits := range byOwner {
		result.ByOwner[owner] = quantile(waits, .95)
	}
	if tokens > 0 {
		result.Hit = float64(cached) / float64(tokens)
	}
	result.OutputRate = float64(output) / (r.config.Length - r.config.Warmup).Seconds()
	return result
}

// quantile returns the value that a share of the list does not exceed. It sorts the list.
func quantile(list []time.Duration, share float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(len(list)-1, int(math.Ceil(share*float64(len(list))))-1)]
}

// Mean returns the mean of results of several seeds.
func Mean(results []Result) Result {
	var sum Result
	n := len(results)
	for _, one := range results {
		sum.Calls += one.Calls / n
		sum.Served += one.Served / n
		sum.TTFT50 += one.TTFT50 / time.Duration(n)
		sum.TTFT95 += one.TTFT95 / time.Duration(n)
		sum.TPOT95 += one.TPOT95 / time.Duration(n)
		sum.Hit += one.Hit / float64(n)
		sum.OutputRate += one.OutputRate / float64(n)
		sum.LongestIdle = max(sum.LongestIdle, one.LongestIdle)
	}
	return sum
}
