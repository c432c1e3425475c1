package peer

import (
	"slices"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
	"github.com/penstockhq/penstock/internal/cputime"
)

func cpuSeconds(testing.TB) float64 { return cputime.Used().Seconds() }

// medium is a model of 134 million parameters.
func medium() testmodel.Config {
	return testmodel.Config{
		Architecture: "llama", Layers: 12, Embedding: 768, Heads: 12, KeyHeads: 12, Hidden: 2048,
		Context: 2048, Vocabulary: 32000, Type: gguf.Q8_0, Seed: 1,
	}
}

// BenchmarkAgainstLlamaCpp runs both engines in turns, one thread each, and
// reports tokens per second of processor time, medians, and their ratio.
// GPUBACKEND_CPU and PEER_VARIANT choose the levels.
func BenchmarkAgainstLlamaCpp(b *testing.B) {
	p := open(b, medium(), Settings{Threads: 1, Context: 64 * 32, Sequences: 32})
	b.Logf("ours: %s", p.ours.Info().Device)
	for _, test := range []struct {
		name string
		batch
	}{
		{"prefill=64", batch{sequences: 1, position: 0, tokens: 64}},
		{"decode=1", batch{sequences: 1, position: 40, tokens: 1}},
		{"decode=8", batch{sequences: 8, position: 40, tokens: 1}},
		{"decode=32", batch{sequences: 32, position: 40, tokens: 1}},
	} {
		b.Run(test.name, func(b *testing.B) { compare(b, p, test.batch, 4) })
	}
}

// BenchmarkLongContextAgainstLlamaCpp does the same where attention has much to
// look back on.
func BenchmarkLongContextAgainstLlamaCpp(b *testing.B) {
	p := open(b, medium(), Settings{Threads: 1, Context: 2048, Sequences: 1})
	for _, test := range []struct {
		name string
		batch
	}{
		{"prefill=256-after-768", batch{sequences: 1, position: 768, tokens: 256}},
		{"decode=1-after-1000", batch{sequences: 1, position: 1000, tokens: 1}},
	} {
		b.Run(test.name, func(b *testing.B) { compare(b, p, test.batch, 128) })
	}
}

// compare fills the caches up to the position at which the wanted batch starts,
// and measures that. Each sequence has a number of pages.
func compare(b *testing.B, p *pair, wanted batch, pages int) {
	for s := range wanted.sequences {
		clearFrom(b, p, s, 0)
	}
	for position := 0; position < wanted.position; position += chunk {
		inSteps(b, p, batch{wanted.sequences, position, min(chunk, wanted.position-position), false}, pages)
	}
	var ours, theirs []float64
	mine, rows := p.engineBatch(wanted, pages), wanted.rows()
	for b.Loop() {
		before := cpuSeconds(b)
		if _, err := p.ours.Forward(mine); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, cpuSeconds(b)-before)
		for s := range wanted.sequences {
			clearFrom(b, p, s, wanted.position)
		}
		before = cpuSeconds(b)
		if err := p.theirs.Step(rows); err != nil {
			b.Fatal(err)
		}
		theirs = append(theirs, cpuSeconds(b)-before)
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	o, t := ours[len(ours)/2], theirs[len(theirs)/2]
	b.ReportMetric(float64(len(rows))/o, "tok/cpu-s")
	b.ReportMetric(float64(len(rows))/t, "llama.cpp-tok/cpu-s")
	b.ReportMetric(t/o, "ratio")
	b.ReportMetric(0, "ns/op")
}

func clearFrom(b *testing.B, p *pair, sequence, position int) {
	if err := p.theirs.Forget(sequence, position); err != nil {
		b.Fatal(err)
	}
}

// chunk is how many tokens of a sequence are filled in at once.
const chunk = 256

// inSteps adds to the caches of both, one sequence at a time.
func inSteps(b *testing.B, p *pair, past batch, pages int) {
	if _, err := p.ours.Forward(p.engineBatch(past, pages)); err != nil {
		b.Fatal(err)
	}
	rows := past.rows()
	for s := range past.sequences {
		if err := p.theirs.Step(rows[s*past.tokens : (s+1)*past.tokens]); err != nil {
			b.Fatal(err)
		}
	}
}
