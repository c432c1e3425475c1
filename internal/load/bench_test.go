//go:build linux

package load

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// pair is a gateway with the gate and one without, in front of one upstream.
type pair struct{ gate, bare *gateway }

const wide = `	penstock {
		ledger sqlite data
		default_limits rpm 1000000000 tpm 1000000000000 rpd 1000000000 tpd 1000000000000 max_in_flight 100000
		model tiny {
			price request 0.000001
			max_output_tokens 512
		}
		bootstrap demo
	}`

func startPair(b *testing.B, upstream string) pair {
	b.Helper()
	pin(b, os.Getpid(), 1)
	return pair{
		gate: start(b, wide, "\tpenstock_proxy "+upstream),
		bare: start(b, "", "\treverse_proxy "+upstream+" {\n\t\ttransport http {\n\t\t\tkeepalive_idle_conns_per_host 1024\n\t\t}\n\t}"),
	}
}

func body(words int) string {
	return `{"model":"tiny","max_tokens":100,"messages":[{"role":"user","content":"` + strings.Repeat("hello ", words) + `"}]}`
}

// round measures work on one gateway: processor time of the gateway for each of
// count units.
func round(b *testing.B, g *gateway, count int, work func()) float64 {
	before := g.used(b)
	work()
	return float64(g.used(b)-before) / float64(count)
}

// compare measures both gateways in turns and reports what a unit costs each.
func compare(b *testing.B, unit string, gate, bare func() float64) {
	var with, without, ratios []float64
	for b.Loop() {
		with, without = append(with, gate()), append(without, bare())
		ratios = append(ratios, with[len(with)-1]/without[len(without)-1])
	}
	for _, numbers := range [][]float64{with, without, ratios} {
		slices.Sort(numbers)
	}
	middle := len(ratios) / 2
	b.ReportMetric(with[middle]/1000, "gate-us/"+unit)
	b.ReportMetric(without[middle]/1000, "bare-us/"+unit)
	b.ReportMetric(ratios[middle], "ratio")
	b.ReportMetric(ratios[0], "least-ratio")
	b.ReportMetric(ratios[len(ratios)-1], "most-ratio")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkCalls reports what a call costs the gateway.
func BenchmarkCalls(b *testing.B) {
	for _, test := range []struct {
		name           string
		words, callers int
		times          int
	}{
		{"json-1KiB/callers=32", 160, 32, 150},
		{"json-1KiB/callers=256", 160, 256, 20},
		{"json-200KiB/callers=16", 34000, 16, 40},
	} {
		b.Run(test.name, func(b *testing.B) {
			p := startPair(b, answers(b))
			measure := func(g *gateway) func() float64 {
				c, text := dial(b, g, test.callers), request(g, p.gate.key, body(test.words))
				c.send(call, text, 10, http.StatusOK)
				return func() float64 {
					return round(b, g, test.callers*test.times, func() { c.send(call, text, test.times, http.StatusOK) })
				}
			}
			compare(b, "call", measure(p.gate), measure(p.bare))
		})
	}
}

// BenchmarkStreams reports what a chunk of a stream costs the gateway.
func BenchmarkStreams(b *testing.B) {
	const callers, chunks, interval = 300, 100, 50 * time.Millisecond
	b.Run(fmt.Sprintf("streams=%d", callers), func(b *testing.B) {
		p := startPair(b, streams(b, chunks, interval))
		text := strings.Replace(body(160), "{", `{"stream":true,`, 1)
		measure := func(g *gateway) func() float64 {
			c, call := dial(b, g, callers), request(g, p.gate.key, text)
			return func() float64 {
				return round(b, g, callers*chunks, func() { c.send(listen, call, 1, http.StatusOK) })
			}
		}
		compare(b, "chunk", measure(p.gate), measure(p.bare))
	})
}

// BenchmarkRefusals reports what a refusal costs, against a call that passes a
// bare reverse_proxy.
func BenchmarkRefusals(b *testing.B) {
	b.Run("unknown-key", func(b *testing.B) {
		p := startPair(b, answers(b))
		const callers, times = 32, 150
		measure := func(g *gateway, status int) func() float64 {
			c, text := dial(b, g, callers), request(g, "sk-unknown", body(160))
			return func() float64 {
				return round(b, g, callers*times, func() { c.send(call, text, times, status) })
			}
		}
		compare(b, "refusal", measure(p.gate, http.StatusUnauthorized), measure(p.bare, http.StatusOK))
	})
}
