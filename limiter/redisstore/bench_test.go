package redisstore

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

// BenchmarkAdmission compares the median of what one caller waits with that of INCR and of
// an EVALSHA that does nothing, in turn on the same server.
func BenchmarkAdmission(b *testing.B) {
	server := startServer(b)
	s := server.open(WithTimeout(patient))
	wide := limits.Row{RPM: 1 << 40, TPM: 1 << 50, RPD: 1 << 31, TPD: 1 << 50, MaxInFlight: 1 << 30}
	ofModel := wide
	ofModel.Model = "tiny"
	both := limiter.Request{
		Key: "key", Owner: "owner", Model: "tiny", Tokens: limiter.Tokens{Input: 900, Output: 512}, Timeout: time.Minute,
		Rows: []limits.Binding{{Row: wide}, {Row: ofModel}},
	}
	one := both
	one.Key, one.Model, one.Rows = "another", "", both.Rows[:1]
	full := one
	full.Key, full.Rows = "full", []limits.Binding{{Row: limits.Row{RPM: 60}}}
	trivial := redis.NewScript("return 1")
	admission := func(r limiter.Request, settles bool) func() error {
		return func() error {
			decision, err := s.Reserve(b.Context(), r)
			if err == nil && settles {
				err = s.Settle(b.Context(), decision.Handle, limiter.Tokens{Input: 874, Output: 203})
			}
			return err
		}
	}
	contenders := []struct {
		name string
		act  func() error
	}{
		{"INCR", func() error { return s.client.Incr(b.Context(), "counter").Err() }},
		{"EVALSHA", func() error { return trivial.Run(b.Context(), s.client, []string{"counter"}).Err() }},
		{"key", admission(one, false)},
		{"key+model", admission(both, false)},
		{"refusal", admission(full, false)},
		{"reserve+settle", admission(both, true)},
	}
	times := make([][]time.Duration, len(contenders))
	for range b.N {
		for i, contender := range contenders {
			start := time.Now()
			if err := contender.act(); err != nil {
				b.Fatal(err)
			}
			times[i] = append(times[i], time.Since(start))
		}
		// What the settlement costs in the background is not what the next one waits for.
		err := s.Flush(b.Context())
		for range 3 {
			err = errors.Join(err, s.client.Incr(b.Context(), "counter").Err())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	median := func(i int) float64 {
		slices.Sort(times[i])
		return float64(times[i][len(times[i])/2])
	}
	b.ReportMetric(median(0)/1e3, "INCR-µs")
	for i := 1; i < len(contenders); i++ {
		b.ReportMetric(median(i)/median(0), contenders[i].name+"/INCR")
	}
}
