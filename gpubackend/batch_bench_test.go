package gpubackend

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/cpu"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
	"github.com/penstockhq/penstock/gpubackend/internal/tokenizer"
	"github.com/penstockhq/penstock/internal/cputime"
)

// BenchmarkBatch compares eight answers at once with one after the other: the
// whole way of a token through scheduler, engine, sampler and text, on one
// thread. It reports tokens per second of processor time, and their ratio. The
// model's weights do not fit into the caches of a core, as with real models.
func BenchmarkBatch(b *testing.B) {
	shape := testmodel.Tiny()
	shape.Layers, shape.Embedding, shape.Heads, shape.KeyHeads, shape.Hidden = 8, 768, 12, 4, 2048
	file := testmodel.Open(shape)
	words, err := tokenizer.FromGGUF(file)
	if err != nil {
		b.Fatal(err)
	}
	runner, err := cpu.New(file, cpu.WithThreads(1), cpu.WithSequences(8))
	if err != nil {
		b.Fatal(err)
	}
	defer runner.Close()
	b.Logf("%d million parameters, %s", runner.Info().Parameters/1e6, runner.Info().Device)
	s := engine.New(runner, words, engine.WithSlots(8))
	defer s.Close()
	const tokens = 64
	var alone, together time.Duration
	for round := 0; b.Loop(); round++ {
		began := cputime.Used()
		for i := range 8 {
			generate(b, s, fmt.Sprint(round, "a", i), tokens)
		}
		middle := cputime.Used()
		var readers sync.WaitGroup
		for i := range 8 {
			readers.Go(func() { generate(b, s, fmt.Sprint(round, "b", i), tokens) })
		}
		readers.Wait()
		alone += middle - began
		together += cputime.Used() - middle
	}
	produced := float64(b.N * 8 * tokens)
	b.ReportMetric(produced/alone.Seconds(), "tok/cpu-s-alone")
	b.ReportMetric(produced/together.Seconds(), "tok/cpu-s-batch8")
	b.ReportMetric(alone.Seconds()/together.Seconds(), "batch8/alone")
}

func generate(b *testing.B, s *engine.Scheduler, salt string, tokens int) {
	streams, err := s.Submit(context.Background(), engine.Request{
		Prompt: []int32{1, 2, 3, 4}, MaxTokens: tokens, IgnoreEnd: true, CacheSalt: salt,
		Sampling: engine.Sampling{Temperature: 0.7, TopK: 40, Seed: 1},
	})
	if err != nil {
		b.Error(err)
		return
	}
	var all choice
	if err := all.readAll(context.Background(), streams[0]); err != nil || all.usage.Generated != tokens {
		b.Errorf("%d tokens, %v", all.usage.Generated, err)
	}
}
