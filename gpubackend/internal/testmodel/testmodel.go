// Package testmodel makes small GGUF models with random weights, so that tests
// and benchmarks can run a real engine on any shape without a file. What such a
// model says has no meaning; it says the same for the same Config.
package testmodel

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// Config is the shape of a model. Tiny is a good start.
type Config struct {
	Architecture string // llama, qwen2 or qwen3
	Layers       int
	Embedding    int
	Heads        int
	KeyHeads     int
	HeadSize     int // 0: Embedding/Heads
	Hidden       int
	Context      int
	// Vocabulary is the number of tokens, at least MinVocabulary(). 0 takes that.
	Vocabulary int
	Type       gguf.Type // of the matrices: F32, F16, BF16 or Q8_0
	Tied       bool      // the embedding is also the output matrix
	Tokenizer  string    // gpt2 (the default) or llama
	Template   string    // chatml (the default), llama3, llama2, zephyr or none
	Seed       uint64
	// Extra is more metadata. It replaces what Build would set.
	Extra map[string]any
}

// Tiny returns a model of some 200,000 parameters that answers within a
// millisecond: two layers, grouped heads, chatml.
func Tiny() Config {
	return Config{
		Architecture: "llama", Layers: 2, Embedding: 64, Heads: 4, KeyHeads: 2, Hidden: 160,
		Context: 512, Type: gguf.Q8_0, Tied: true, Seed: 1,
	}
}

// Build returns the file. It panics on a Config that cannot be built, as it
// serves tests only.
func Build(c Config) []byte {
	w := gguf.NewWriter()
	vocabulary := newVocabulary(c)
	if c.Vocabulary == 0 {
		c.Vocabulary = len(vocabulary.tokens)
	}
	vocabulary.fill(c.Vocabulary)
	if c.HeadSize == 0 {
		c.HeadSize = c.Embedding / c.Heads
	}
	settings(w, c)
	vocabulary.write(w, c)
	for key, value := range c.Extra {
		must(w.Set(key, value))
	}
	tensors(w, c)
	return w.Bytes()
}

// Open parses what Build returns.
func Open(c Config) *gguf.File {
	file, err := gguf.Parse(Build(c))
	must(err)
	return file
}

// put sets metadata unless the Config has its own value.
func put(w *gguf.Writer, c Config, key string, value any) {
	if _, own := c.Extra[key]; !own {
		must(w.Set(key, value))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func settings(w *gguf.Writer, c Config) {
	a := c.Architecture + "."
	put(w, c, "general.architecture", c.Architecture)
	put(w, c, "general.name", fmt.Sprintf("random-%s-%d", c.Architecture, c.Seed))
	put(w, c, a+"block_count", uint32(c.Layers))
	put(w, c, a+"context_length", uint32(c.Context))
	put(w, c, a+"embedding_length", uint32(c.Embedding))
	put(w, c, a+"feed_forward_length", uint32(c.Hidden))
	put(w, c, a+"attention.head_count", uint32(c.Heads))
	put(w, c, a+"attention.head_count_kv", uint32(c.KeyHeads))
	put(w, c, a+"attention.key_length", uint32(c.HeadSize))
	put(w, c, a+"attention.value_length", uint32(c.HeadSize))
	put(w, c, a+"rope.dimension_count", uint32(c.HeadSize))
	put(w, c, a+"attention.layer_norm_rms_epsilon", float32(1e-5))
	put(w, c, a+"rope.freq_base", float32(10000))
}

func tensors(w *gguf.Writer, c Config) {
	r := &source{rand.New(rand.NewPCG(c.Seed, 0))}
	queries, keys := c.Heads*c.HeadSize, c.KeyHeads*c.HeadSize
	matrix := func(name string, columns, rows int) {
		// Keeps the variance of what passes through: states neither fade nor explode.
		values := r.normal(columns*rows, 1/math.Sqrt(float64(columns)), 0)
		must(w.AddFloats(name, c.Type, []int{columns, rows}, values))
	}
	vector := func(name string, size int, spread, centre float64) {
		must(w.AddFloats(name, gguf.F32, []int{size}, r.normal(size, spread, centre)))
	}
	must(w.AddFloats("token_embd.weight", c.Type, []int{c.Embedding, c.Vocabulary}, r.normal(c.Embedding*c.Vocabulary, 0.3, 0)))
	for i := range c.Layers {
		prefix := fmt.Sprintf("blk.%d.", i)
		vector(prefix+"attn_norm.weight", c.Embedding, 0.1, 1)
		matrix(prefix+"attn_q.weight", c.Embedding, queries)
		matrix(prefix+"attn_k.weight", c.Embedding, keys)
		matrix(prefix+"attn_v.weight", c.Embedding, keys)
		matrix(prefix+"attn_output.weight", queries, c.Embedding)
		switch c.Architecture {
		case "qwen2":
			vector(prefix+"attn_q.bias", queries, 0.5, 0)
			vector(prefix+"attn_k.bias", keys, 0.5, 0)
			vector(prefix+"attn_v.bias", keys, 0.5, 0)
		case "qwen3":
			vector(prefix+"attn_q_norm.weight", c.HeadSize, 0.1, 1)
			vector(prefix+"attn_k_norm.weight", c.HeadSize, 0.1, 1)
		}
		vector(prefix+"ffn_norm.weight", c.Embedding, 0.1, 1)
		matrix(prefix+"ffn_gate.weight", c.Embedding, c.Hidden)
		matrix(prefix+"ffn_up.weight", c.Embedding, c.Hidden)
		matrix(prefix+"ffn_down.weight", c.Hidden, c.Embedding)
	}
	vector("output_norm.weight", c.Embedding, 0.1, 1)
	if !c.Tied {
		matrix("output.weight", c.Embedding, c.Vocabulary)
	}
}

type source struct{ *rand.Rand }

func (s *source) normal(count int, spread, centre float64) []float32 {
	numbers := make([]float32, count)
	for i := range numbers {
		numbers[i] = float32(s.NormFloat64()*spread + centre)
	}
	return numbers
}
