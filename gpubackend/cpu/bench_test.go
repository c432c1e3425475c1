//go:build unix

package cpu

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/gguf"
	"github.com/penstockhq/penstock/internal/testmodel"
)

// cpuSeconds returns the processor time that the program has used. Speeds per
// second of it mean the same whatever else the machine does.
func cpuSeconds(tb testing.TB) float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// BenchmarkTile measures the inner loop of quantised products, with the weights
// in the second-level cache.
func BenchmarkTile(b *testing.B) {
	for _, level := range levels() {
		k, err := kernelsFor(level)
		if err != nil {
			b.Fatal(err)
		}
		for _, tokens := range k.groups {
			b.Run(fmt.Sprintf("%s/tokens=%d", level, tokens), func(b *testing.B) {
				const blocks = 64
				r := rand.New(rand.NewPCG(1, 1))
				values, scales := make([]byte, blocks*tileBlock), make([]uint16, blocks*tileRows)
				for i := range values {
					values[i] = byte(r.Uint32())
				}
				x := randomGroup(r, tokens, blocks)
				out := make([]float32, tileRows*tokens)
				used := cpuSeconds(b)
				for b.Loop() {
					k.tile(out, tileRows, values, scales, x)
				}
				used = (cpuSeconds(b) - used) / float64(b.N)
				b.ReportMetric(blocks*tileBlock*float64(tokens)/used/1e9, "GMAC/cpu-s")
				b.ReportMetric(blocks*(tileBlock+2*tileRows)/used/1e9, "GB/cpu-s")
			})
		}
	}
}

func randomGroup(r *rand.Rand, tokens, blocks int) group {
	x := group{
		tokens: tokens, blocks: blocks, values: make([]int8, tokens*blocks*blockSize),
		scales: make([]float32, tokens*blocks), sums: make([]int32, tokens*blocks),
	}
	for i := range x.values {
		x.values[i] = int8(r.IntN(255) - 127)
		x.sums[i/blockSize] -= 128 * int32(x.values[i])
	}
	for i := range x.scales {
		x.scales[i] = r.Float32()
	}
	return x
}

// medium is a model of 134 million parameters, of the size at which memory and
// arithmetic both matter.
func medium() testmodel.Config {
	return testmodel.Config{
		Architecture: "llama", Layers: 12, Embedding: 768, Heads: 12, KeyHeads: 12, Hidden: 2048,
		Context: 2048, Vocabulary: 32000, Type: gguf.Q8_0, Seed: 1,
	}
}

// step runs one batch: tokens of each of sequences, from position on.
func step(tb testing.TB, e *Engine, sequences, position, tokens int, logits [][]float32) {
	batch := &engine.Batch{}
	pages := e.KV().Pages / sequences
	for s := range sequences {
		batch.Tables = append(batch.Tables, pagesFrom(s*pages, pages*engine.PageSize))
		for i := range tokens {
			batch.Rows = append(batch.Rows, engine.Row{
				Token: int32(position+i*31) % 300, Position: int32(position + i), Sequence: int32(s),
			})
		}
		batch.Logits = append(batch.Logits, int32(len(batch.Rows)-1))
		batch.LogitsOut = append(batch.LogitsOut, logits[s])
	}
	if _, err := e.Forward(batch); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkModel reports tokens per second of processor time, on one thread.
func BenchmarkModel(b *testing.B) {
	file := testmodel.Open(medium())
	for _, level := range levels() {
		e := open(b, file, WithLevel(level), WithThreads(1), WithPages(32*8))
		logits := make([][]float32, 32)
		for i := range logits {
			logits[i] = make([]float32, e.Info().Vocabulary)
		}
		for _, test := range []struct {
			name              string
			sequences, tokens int
		}{{"prefill=64", 1, 64}, {"decode=1", 1, 1}, {"decode=8", 8, 1}, {"decode=32", 32, 1}} {
			b.Run(level+"/"+test.name, func(b *testing.B) {
				used := cpuSeconds(b)
				for b.Loop() {
					step(b, e, test.sequences, 32, test.tokens, logits)
				}
				used = cpuSeconds(b) - used
				b.ReportMetric(float64(b.N*test.sequences*test.tokens)/used, "tok/cpu-s")
			})
		}
	}
}
