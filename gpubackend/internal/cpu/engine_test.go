package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// levels returns the levels that this processor has.
func levels() []string {
	var have []string
	for _, level := range []string{"generic", "avx2", "avx512"} {
		if _, err := kernelsFor(level); err == nil {
			have = append(have, level)
		}
	}
	return have
}

func open(t testing.TB, file *gguf.File, opts ...Option) *Engine {
	t.Helper()
	e, err := New(file, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// tokensOf returns random tokens.
func tokensOf(vocabulary, count int, seed uint64) []int32 {
	r := rand.New(rand.NewPCG(seed, 1))
	tokens := make([]int32, count)
	for i := range tokens {
		tokens[i] = r.Int32N(int32(vocabulary))
	}
	return tokens
}

// pagesFrom returns a page table of pages in descending order, to be sure that
// the order in memory does not matter.
func pagesFrom(first, positions int) []int32 {
	var table []int32
	for p := 0; p*engine.PageSize < positions; p++ {
		table = append([]int32{int32(first + p)}, table...)
	}
	return table
}

// wantAll asks for the logits of all rows.
func wantAll(e *Engine, batch *engine.Batch) {
	for i := range batch.Rows {
		batch.Logits = append(batch.Logits, int32(i))
		batch.LogitsOut = append(batch.LogitsOut, make([]float32, e.Info().Vocabulary))
	}
}

// feed runs tokens of one sequence in pieces and returns all logits.
func feed(t testing.TB, e *Engine, tokens []int32, pieces ...int) [][]float32 {
	t.Helper()
	table := pagesFrom(1, len(tokens))
	var all [][]float32
	for position := 0; position < len(tokens); {
		size := len(tokens) - position
		if len(pieces) > 0 {
			size, pieces = pieces[0], pieces[1:]
		}
		batch := &engine.Batch{Tables: [][]int32{table}}
		for range size {
			batch.Rows = append(batch.Rows, engine.Row{Token: tokens[position], Position: int32(position)})
			position++
		}
		wantAll(e, batch)
		if _, err := e.Forward(batch); err != nil {
			t.Fatal(err)
		}
		all = append(all, batch.LogitsOut...)
	}
	return all
}

// shapes are models of every supported kind, with odd sizes where those may be.
func shapes(kind gguf.Type) map[string]testmodel.Config {
	base := testmodel.Tiny()
	base.Type = kind
	grouped, plain, wide := base, base, base
	plain.KeyHeads, plain.Tied = 4, false
	wide.Architecture, wide.HeadSize, wide.Heads, wide.KeyHeads, wide.Vocabulary = "qwen2", 80, 6, 1, 477
	queries := base
	queries.Architecture, queries.HeadSize, queries.Tied, queries.Layers = "qwen3", 32, false, 3
	all := map[string]testmodel.Config{"llama grouped": grouped, "llama plain": plain, "qwen2 wide": wide, "qwen3": queries}
	if kind != gguf.Q8_0 {
		odd := base
		odd.Embedding, odd.Hidden, odd.Heads, odd.KeyHeads, odd.HeadSize = 54, 77, 3, 3, 18
		all["llama odd"] = odd
	}
	return all
}

// The bound for F32 is the one that the project promises. F16 and BF16 weights
// are exact in F32, so the same holds. In Q8_0 the activations are rounded to
// eight bits, which is what the larger bound allows for.
func TestLogitsAgreeWithAPlainFloat64ForwardPass(t *testing.T) {
	for _, kind := range []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0} {
		bound := 1e-5
		if kind == gguf.Q8_0 {
			bound = 0.03
		}
		for name, config := range shapes(kind) {
			file := testmodel.Open(config)
			tokens := tokensOf(300, 40, 7)
			want := newOracle(t, file).logits(tokens)
			for _, level := range levels() {
				t.Run(fmt.Sprintf("%s %s %s", kind, name, level), func(t *testing.T) {
					e := open(t, file, WithLevel(level), WithThreads(2), WithPages(8))
					if got := difference(feed(t, e, tokens, 17, 1, 5, 1), want); !(got <= bound) { // so that NaN fails
						t.Errorf("relative difference %.3g, want at most %.3g", got, bound)
					} else {
						t.Logf("relative difference %.3g", got)
					}
				})
			}
		}
	}
}

// A scheduler mixes sequences as it likes; nobody's answer may depend on it.
func TestLogitsDoNotDependOnTheBatchOrTheThreads(t *testing.T) {
	for _, kind := range []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0} {
		for name, config := range shapes(kind) {
			if (kind == gguf.F16 || kind == gguf.BF16) && name != "llama odd" {
				continue // they differ from F32 in the dot kernels alone
			}
			file := testmodel.Open(config)
			for _, level := range levels() {
				t.Run(fmt.Sprintf("%s %s %s", kind, name, level), func(t *testing.T) {
					testCompany(t, file, level)
				})
			}
		}
	}
}

func testCompany(t *testing.T, file *gguf.File, level string) {
	alone := open(t, file, WithLevel(level), WithThreads(1), WithPages(64))
	together := open(t, file, WithLevel(level), WithThreads(3), WithPages(64))
	const sequences, length = 5, 21
	var want [sequences][][]float32
	batch := &engine.Batch{}
	for s := range sequences {
		tokens := tokensOf(300, length, uint64(s))
		want[s] = feed(t, alone, tokens, 1, 1, 1)
		batch.Tables = append(batch.Tables, pagesFrom(s*4, length))
		for p, token := range tokens {
			batch.Rows = append(batch.Rows, engine.Row{Token: token, Position: int32(p), Sequence: int32(s)})
		}
	}
	wantAll(together, batch)
	if _, err := together.Forward(batch); err != nil {
		t.Fatal(err)
	}
	for i, row := range batch.Rows {
		if !slices.Equal(batch.LogitsOut[i], want[row.Sequence][row.Position]) {
			t.Fatalf("sequence %d, position %d: logits differ between alone and in a batch", row.Sequence, row.Position)
		}
	}
}
