package peer

import (
	"math"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
)

// small is a model of 3 million parameters with realistic proportions.
func small(kind gguf.Type) testmodel.Config {
	return testmodel.Config{
		Architecture: "llama", Layers: 4, Embedding: 256, Heads: 8, KeyHeads: 4, Hidden: 640,
		Context: 256, Type: kind, Tied: true, Seed: 5,
	}
}

// both runs the same rows through both engines.
func both(t *testing.T, config testmodel.Config) (ours, theirs [][]float32) {
	t.Helper()
	p := open(t, config, Settings{Threads: 1, Context: 256, Sequences: 1, FullCache: true})
	b := batch{sequences: 1, tokens: 201, all: true}
	mine := p.engineBatch(b, 16)
	if _, err := p.ours.Forward(mine); err != nil {
		t.Fatal(err)
	}
	if err := p.theirs.Step(b.rows()); err != nil {
		t.Fatal(err)
	}
	for i := range b.rows() {
		logits, err := p.theirs.Logits(i)
		if err != nil {
			t.Fatal(err)
		}
		theirs = append(theirs, logits)
	}
	return mine.LogitsOut, theirs
}

// distance is the relative L2 distance.
func distance(a, b [][]float32) float64 {
	var square, norm float64
	for i := range a {
		for j := range a[i] {
			square += math.Pow(float64(a[i][j])-float64(b[i][j]), 2)
			norm += float64(b[i][j]) * float64(b[i][j])
		}
	}
	return math.Sqrt(square / norm)
}

// divergence is the mean Kullback-Leibler divergence from the truth.
func divergence(truth, other [][]float32) float64 {
	var sum float64
	for i := range truth {
		p, q := logSoftmax(truth[i]), logSoftmax(other[i])
		for j := range p {
			sum += math.Exp(p[j]) * (p[j] - q[j])
		}
	}
	return sum / float64(len(truth))
}

func logSoftmax(x []float32) []float64 {
	largest := math.Inf(-1)
	for _, number := range x {
		largest = math.Max(largest, float64(number))
	}
	var sum float64
	for _, number := range x {
		sum += math.Exp(float64(number) - largest)
	}
	out := make([]float64, len(x))
	for i, number := range x {
		out[i] = float64(number) - largest - math.Log(sum)
	}
	return out
}

// llama.cpp's own versions differ by 1e-3 for float weights, so no more than
// that can be asked for. The bound of 1e-5 is against a float64 forward pass, in
// the engine's own tests.
func TestFloatLogitsAgreeWithLlamaCpp(t *testing.T) {
	for _, kind := range []gguf.Type{gguf.F32, gguf.F16} {
		for _, architecture := range []string{"llama", "qwen2", "qwen3"} {
			config := small(kind)
			config.Architecture = architecture
			ours, theirs := both(t, config)
			got := distance(ours, theirs)
			t.Logf("%s %s: relative difference %.2g", architecture, kind, got)
			if !(got <= 3e-3) { // so that NaN fails
				t.Errorf("%s %s: relative difference %.2g, want at most 3e-3", architecture, kind, got)
			}
		}
	}
}

// The truth is the same weights in F32. Both engines round activations to eight
// bits, each in its own way; ours must not lose more.
func TestQuantisedLogitsAreAsGoodAsLlamaCpps(t *testing.T) {
	var oursSum, theirsSum float64
	for seed := range uint64(6) {
		config := small(gguf.F32)
		config.Seed = seed
		truth, _ := both(t, config)
		config.Type = gguf.Q8_0
		ours, theirs := both(t, config)
		mine, yours := divergence(truth, ours), divergence(truth, theirs)
		t.Logf("model %d: divergence %.5f, llama.cpp %.5f", seed, mine, yours)
		oursSum, theirsSum = oursSum+mine, theirsSum+yours
	}
	t.Logf("ratio %.3f", oursSum/theirsSum)
	if !(oursSum <= 1.1*theirsSum) {
		t.Errorf("divergence is %.3f of llama.cpp's, want at most 1.1", oursSum/theirsSum)
	}
}

// Positions far beyond the original context, where the scalings differ most from
// none, and from each other.
func TestStretchedContextsAgreeWithLlamaCpp(t *testing.T) {
	for name, extra := range map[string]map[string]any{
		"none":   {},
		"linear": {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": float32(4)},
		"yarn": {
			"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": float32(4),
			"llama.rope.scaling.original_context_length": uint32(64),
		},
		"base": {"llama.rope.freq_base": float32(500000)},
	} {
		config := small(gguf.F32)
		config.Extra = extra
		ours, theirs := both(t, config)
		got := distance(ours, theirs)
		t.Logf("%s: relative difference %.2g", name, got)
		if !(got <= 3e-3) {
			t.Errorf("%s: relative difference %.2g, want at most 3e-3", name, got)
		}
	}
}
