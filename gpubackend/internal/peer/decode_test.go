package peer

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

func TestEveryFormatDecodesAsInLlamaCpp(t *testing.T) {
	needLibrary(t)
	r := rand.New(rand.NewPCG(1, 2))
	for name, kind := range map[string]gguf.Type{
		"q4_0": gguf.Q4_0, "q4_1": gguf.Q4_1, "q5_0": gguf.Q5_0, "q5_1": gguf.Q5_1, "q8_0": gguf.Q8_0,
		"q2_K": gguf.Q2_K, "q3_K": gguf.Q3_K, "q4_K": gguf.Q4_K, "q5_K": gguf.Q5_K, "q6_K": gguf.Q6_K, "q8_K": gguf.Q8_K,
		"iq4_nl": gguf.IQ4_NL, "iq4_xs": gguf.IQ4_XS, "tq1_0": gguf.TQ1_0, "tq2_0": gguf.TQ2_0, "mxfp4": gguf.MXFP4,
	} {
		blocks, err := OpenBlocks(os.Getenv(libraryVariable), name)
		if err != nil {
			t.Fatal(err)
		}
		const count = 4096
		values := make([]float32, count)
		for i := range values {
			values[i] = float32(r.NormFloat64())
		}
		elements, size := kind.Block()
		data := blocks.Encode(values, count/elements*size)
		want, got := blocks.Decode(data, count), make([]float32, count)
		if err := gguf.Dequantize(kind, data, got); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			// The last bit may differ: C may contract a product and a sum.
			if difference := got[i] - want[i]; difference > 1e-6 || difference < -1e-6 {
				t.Errorf("%s: value %d is %g, llama.cpp says %g (%g was encoded)", name, i, got[i], want[i], values[i])
				break
			}
		}
	}
}

func TestQ8BlocksAreThoseOfLlamaCpp(t *testing.T) {
	needLibrary(t)
	blocks, err := OpenBlocks(os.Getenv(libraryVariable), "q8_0")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	values := make([]float32, 32*1000)
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	got, err := gguf.Encode(gguf.Q8_0, values)
	if err != nil {
		t.Fatal(err)
	}
	want := blocks.Encode(values, len(got))
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("byte %d is %d, llama.cpp says %d", i, got[i], want[i])
		}
	}
}
