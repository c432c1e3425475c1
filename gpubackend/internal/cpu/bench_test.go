package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
	"github.com/penstockhq/penstock/internal/cputime"
)

// cpuSeconds returns the processor time that the program has used. Speeds per
// second of it mean the same whatever else the machine does.
func cpuSeconds(testing.TB) float64 { return cputime.Used().Seconds() }

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

// BenchmarkBatch reports how much more one thread decodes per second of
// processor time when it works on several sequences at once.
func BenchmarkBatch(b *testing.B) {
	e := open(b, testmodel.Open(medium()), WithThreads(1), WithPages(32*8))
	logits := make([][]float32, 32)
	for i := range logits {
		logits[i] = make([]float32, e.Info().Vocabulary)
	}
	for _, sequences := range []int{2, 4, 8, 16, 32} {
		b.Run(fmt.Sprintf("sequences=%d", sequences), func(b *testing.B) {
			var alone, together []float64
			for b.Loop() {
				alone = append(alone, seconds(b, cpuSeconds, func() { step(b, e, 1, 32, 1, logits) }))
				together = append(together, seconds(b, cpuSeconds, func() { step(b, e, sequences, 32, 1, logits) }))
			}
			b.ReportMetric(float64(sequences)/median(together), "tok/cpu-s")
			b.ReportMetric(float64(sequences)*median(alone)/median(together), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkThreads reports how much faster two threads are than one, in time on
// the clock. The control is what two threads reach at that moment that only
// count, each for itself: below 2, the machine was busy with something else.
func BenchmarkThreads(b *testing.B) {
	file := testmodel.Open(medium())
	one := open(b, file, WithThreads(1), WithPages(32*8))
	two := open(b, file, WithThreads(2), WithPages(32*8))
	logits := make([][]float32, 8)
	for i := range logits {
		logits[i] = make([]float32, one.Info().Vocabulary)
	}
	began := time.Now()
	clock := func(testing.TB) float64 { return time.Since(began).Seconds() }
	for _, test := range []struct {
		name              string
		sequences, tokens int
	}{{"prefill=64", 1, 64}, {"decode=1", 1, 1}, {"decode=8", 8, 1}} {
		b.Run(test.name, func(b *testing.B) {
			var ratios, controls []float64
			for b.Loop() {
				alone := seconds(b, clock, func() { step(b, one, test.sequences, 32, test.tokens, logits) })
				together := seconds(b, clock, func() { step(b, two, test.sequences, 32, test.tokens, logits) })
				ratios = append(ratios, alone/together)
				alone = seconds(b, clock, count)
				together = seconds(b, clock, func() {
					var other sync.WaitGroup
					other.Go(count)
					count()
					other.Wait()
				})
				controls = append(controls, 2*alone/together)
			}
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(median(controls), "control-ratio")
			b.ReportMetric(slices.Max(ratios), "best-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// count keeps a core busy for some 10 ms without touching memory.
func count() {
	number := 1.0
	for range 1 << 23 {
		number = number*0.999 + 1
	}
	if number < 0 {
		panic("unreachable: it makes the loop's result matter")
	}
}

func seconds(b *testing.B, clock func(testing.TB) float64, work func()) float64 {
	start := clock(b)
	work()
	return clock(b) - start
}

func median(numbers []float64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	return sorted[len(sorted)/2]
}

// BenchmarkLoad reports how many bytes of a quantised file are prepared per
// second of processor time.
func BenchmarkLoad(b *testing.B) {
	file := testmodel.Open(medium())
	used := cpuSeconds(b)
	var bytes int64
	for b.Loop() {
		e, err := New(file, WithThreads(1))
		if err != nil {
			b.Fatal(err)
		}
		bytes += e.Info().WeightBytes
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(bytes)/(cpuSeconds(b)-used)/1e9, "GB/cpu-s")
}
