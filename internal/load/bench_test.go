//go:build linux

package load

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"
)

const configuration = `	penstock {
		ledger sqlite data
		model tiny {
			price request 0.000001
			max_output_tokens 512
		}
	}`

// pair is a gateway with the gate and one without, in front of one upstream.
type pair struct{ gate, bare *gateway }

func startPair(b *testing.B, upstream string, keys int) pair {
	b.Helper()
	pin(b, os.Getpid(), 1)
	home := b.TempDir()
	texts := makeKeys(b, home, keys)
	p := pair{
		gate: start(b, home, configuration, "\tpenstock_proxy "+upstream),
		bare: start(b, b.TempDir(), "", "\treverse_proxy "+upstream+" {\n\t\ttransport http {\n\t\t\tkeepalive_idle_conns_per_host 1024\n\t\t}\n\t}"),
	}
	p.gate.keys, p.bare.keys = texts, texts // the same bytes for both
	return p
}

// requests returns calls that differ in their words and in the keys that make them.
func (g *gateway) requests(bytes int, stream bool) [][]byte {
	random := rand.New(rand.NewPCG(1, 2)) // the same for both gateways
	all := make([][]byte, min(256, max(16, 16<<20/bytes)))
	for i := range all {
		all[i] = request(g, g.keys[random.IntN(len(g.keys))], chat(random, bytes, stream))
	}
	return all
}

// series collects what rounds measured.
type series []float64

// report prints the middle of a series, and where it is a ratio also its ends.
func (s series) report(b *testing.B, unit string) {
	slices.Sort(s)
	b.ReportMetric(s[len(s)/2], unit)
	if unit == "ratio" {
		b.ReportMetric(s[0], "least-ratio")
		b.ReportMetric(s[len(s)-1], "most-ratio")
	}
}

// compare measures both gateways in turns and reports what a unit costs each. The
// functions return processor time for each unit, in nanoseconds.
func compare(b *testing.B, unit string, gate, bare func() float64) {
	var with, without, ratios series
	for b.Loop() {
		with, without = append(with, gate()), append(without, bare())
		ratios = append(ratios, with[len(with)-1]/without[len(without)-1])
	}
	for _, s := range []series{with, without} {
		for i := range s {
			s[i] /= 1000
		}
	}
	with.report(b, "gate-us/"+unit)
	without.report(b, "bare-us/"+unit)
	ratios.report(b, "ratio")
	b.ReportMetric(0, "ns/op")
}

// cost returns the gateway's processor time for each of count units of work, in
// nanoseconds.
func cost(b *testing.B, g *gateway, count int, work func()) float64 {
	before := g.used(b)
	work()
	return float64(g.used(b)-before) / float64(count)
}

// BenchmarkCalls reports what a call costs the gateway if the upstream answers at
// once and every caller makes its next call as soon as it has an answer.
func BenchmarkCalls(b *testing.B) {
	for _, test := range []struct{ bytes, callers, times, keys int }{
		{1 << 10, 1, 2000, 100},
		{1 << 10, 4, 1000, 100},
		{1 << 10, 32, 150, 100},
		{1 << 10, 256, 20, 100},
		{1 << 10, 1024, 10, 100},
		{1 << 10, 256, 20, 100_000},
		{16 << 10, 32, 150, 100},
		{200 << 10, 8, 80, 100},
	} {
		b.Run(fmt.Sprintf("bytes=%d/callers=%d/keys=%d", test.bytes, test.callers, test.keys), func(b *testing.B) {
			p := startPair(b, answers(b, 0), test.keys)
			measure := func(g *gateway) func() float64 {
				c, texts := dial(b, g, test.callers), g.requests(test.bytes, false)
				c.send(call, texts, 10, http.StatusOK)
				return func() float64 {
					return cost(b, g, test.callers*test.times, func() { c.send(call, texts, test.times, http.StatusOK) })
				}
			}
			compare(b, "call", measure(p.gate), measure(p.bare))
		})
	}
}

// BenchmarkRate reports what a call costs, and how much longer it takes, if calls
// come at a fixed rate and the upstream works on each for a while.
func BenchmarkRate(b *testing.B) {
	for _, test := range []struct {
		bytes, perSecond int
		works            time.Duration
	}{
		{1 << 10, 2000, 100 * time.Millisecond},
		{8 << 10, 500, time.Second},
		{200 << 10, 100, 500 * time.Millisecond},
	} {
		b.Run(fmt.Sprintf("bytes=%d/rate=%d/upstream=%s", test.bytes, test.perSecond, test.works), func(b *testing.B) {
			p := startPair(b, answers(b, test.works), 1000)
			inFlight := int(float64(test.perSecond) * test.works.Seconds())
			var halves, tails [2]series
			measure := func(g *gateway, i int) func() float64 {
				c, texts := dial(b, g, 2*inFlight+16), g.requests(test.bytes, false)
				c.pace(texts, test.perSecond, inFlight) // opens the connections to the upstream
				return func() float64 {
					var took latencies
					used := cost(b, g, 3*test.perSecond, func() { took = c.pace(texts, test.perSecond, 3*test.perSecond) })
					halves[i] = append(halves[i], float64(took.quantile(.5)))
					tails[i] = append(tails[i], float64(took.quantile(.99)))
					return used
				}
			}
			compare(b, "call", measure(p.gate, 0), measure(p.bare, 1))
			added(halves).report(b, "added-p50-us")
			added(tails).report(b, "added-p99-us")
		})
	}
}

// added returns by how many microseconds the first series exceeds the second.
func added(s [2]series) series {
	difference := make(series, len(s[0]))
	for i := range difference {
		difference[i] = (s[0][i] - s[1][i]) / 1000
	}
	return difference
}

// BenchmarkStreams reports what a chunk of a stream costs the gateway, and how much
// memory an open stream takes.
func BenchmarkStreams(b *testing.B) {
	for _, test := range []struct {
		callers, chunks int
		interval        time.Duration
	}{
		{300, 100, 50 * time.Millisecond},
		{4000, 10, 500 * time.Millisecond},
	} {
		b.Run(fmt.Sprintf("streams=%d/interval=%s", test.callers, test.interval), func(b *testing.B) {
			p := startPair(b, streams(b, test.chunks, test.interval), 100)
			var memory [2]series
			measure := func(g *gateway, i int) func() float64 {
				c, texts, idle := dial(b, g, test.callers), g.requests(1<<10, true), g.memory(b)
				return func() float64 {
					used := cost(b, g, test.callers*test.chunks, func() {
						midway := time.AfterFunc(time.Duration(test.chunks)*test.interval/2, func() {
							memory[i] = append(memory[i], (g.memory(b)-idle)/float64(test.callers)/1024)
						})
						c.send(listen, texts, 1, http.StatusOK)
						midway.Stop()
					})
					return used
				}
			}
			compare(b, "chunk", measure(p.gate, 0), measure(p.bare, 1))
			memory[0].report(b, "gate-KiB/stream")
			memory[1].report(b, "bare-KiB/stream")
		})
	}
}

// BenchmarkRefusals reports what a refusal costs, against a call that passes a
// bare reverse_proxy.
func BenchmarkRefusals(b *testing.B) {
	b.Run("unknown-key", func(b *testing.B) {
		p := startPair(b, answers(b, 0), 1)
		const callers, times = 32, 150
		p.gate.keys = []string{"sk-unknown"}
		measure := func(g *gateway, status int) func() float64 {
			c, texts := dial(b, g, callers), g.requests(1<<10, false)
			return func() float64 {
				return cost(b, g, callers*times, func() { c.send(call, texts, times, status) })
			}
		}
		compare(b, "refusal", measure(p.gate, http.StatusUnauthorized), measure(p.bare, http.StatusOK))
	})
}
