package cpu

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
)

// divergence is the mean Kullback-Leibler divergence of logits from the truth.
func divergence(truth table, got [][]float32) float64 {
	var sum float64
	for i, row := range truth {
		other := make([]float64, len(row))
		for j := range other {
			other[j] = float64(got[i][j])
		}
		p, q := logSoftmax(row), logSoftmax(other)
		for j := range p {
			sum += math.Exp(p[j]) * (p[j] - q[j])
		}
	}
	return sum / float64(len(truth))
}

func logSoftmax(x []float64) []float64 {
	var sum float64
	for _, number := range x {
		sum += math.Exp(number)
	}
	out := make([]float64, len(x))
	for i, number := range x {
		out[i] = number - math.Log(sum)
	}
	return out
}

// Two things are rounded to eight bits: the weights, by whoever made the file,
// and the activations, by the engine. The loss of the first alone is measured
// with the float64 pass over the quantised file; with the second it may at most
// double and a half. A comparison with llama.cpp's loss is in ../peer.
func TestQuantisedAnswersStayCloseToTheTruth(t *testing.T) {
	var both, weightsOnly float64
	for seed := range uint64(4) {
		config := testmodel.Tiny()
		config.Seed, config.Embedding, config.HeadSize, config.Type = seed, 128, 32, gguf.F32
		tokens := tokensOf(300, 32, seed)
		truth := newOracle(t, testmodel.Open(config)).logits(tokens)
		config.Type = gguf.Q8_0
		file := testmodel.Open(config)
		exact := newOracle(t, file).logits(tokens)
		rounded := make([][]float32, len(exact))
		for i, row := range exact {
			for _, number := range row {
				rounded[i] = append(rounded[i], float32(number))
			}
		}
		weightsOnly += divergence(truth, rounded)
		both += divergence(truth, feed(t, open(t, file, WithPages(4)), tokens))
	}
	t.Logf("divergence %.6f, of which the file's weights %.6f", both/4, weightsOnly/4)
	if !(both <= 2.5*weightsOnly) {
		t.Errorf("divergence %.6f is %.2f times the weights' own, want at most 2.5", both/4, both/weightsOnly)
	}
}

// randomBlocks returns valid blocks of a format: random bits under scales of a
// size that keeps the model's states in range.
func randomBlocks(r *rand.Rand, kind gguf.Type, elements int) []byte {
	perBlock, size := kind.Block()
	data := make([]byte, elements/perBlock*size)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	scales := map[gguf.Type][]int{
		gguf.Q4_0: {0}, gguf.Q4_1: {0, 2}, gguf.Q5_0: {0}, gguf.Q5_1: {0, 2}, gguf.Q2_K: {80, 82}, gguf.Q3_K: {108},
		gguf.Q4_K: {0, 2}, gguf.Q5_K: {0, 2}, gguf.Q6_K: {208}, gguf.IQ4_NL: {0}, gguf.IQ4_XS: {0}, gguf.TQ2_0: {64},
	}[kind]
	spread := 0.002
	if perBlock == 256 {
		spread /= 32 // there are scales under the scale
	}
	for at := 0; at < len(data); at += size {
		for _, scale := range scales {
			half := gguf.FloatToHalf(float32(r.NormFloat64() * spread))
			data[at+scale], data[at+scale+1] = byte(half), byte(half>>8)
		}
	}
	return data
}

func TestOtherFormatsBecomeQ8WhileLoading(t *testing.T) {
	config := testmodel.Tiny()
	config.Embedding, config.Hidden, config.Layers = 256, 256, 1
	r := rand.New(rand.NewPCG(7, 7))
	tokens := tokensOf(300, 12, 1)
	for _, kind := range []gguf.Type{
		gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.Q2_K, gguf.Q3_K, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K, gguf.IQ4_NL, gguf.IQ4_XS, gguf.TQ2_0,
	} {
		file := altered(t, config, nil, func(tensor *gguf.Tensor) bool {
			if len(tensor.Shape) == 2 {
				tensor.Type, tensor.Data = kind, randomBlocks(r, kind, tensor.Elements())
			}
			return true
		})
		want := newOracle(t, file).logits(tokens)
		got := difference(feed(t, open(t, file, WithPages(2)), tokens), want)
		t.Logf("%s: relative difference %.3g", kind, got)
		// Weights and activations are both rounded to eight bits now.
		if !(got <= 0.04) { // so that NaN fails
			t.Errorf("%s: relative difference %.3g, want at most 0.04", kind, got)
		}
	}
}
