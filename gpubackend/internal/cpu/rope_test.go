package cpu

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
)

// withDivisors adds a tensor that slows down every pair by a factor.
func withDivisors(t *testing.T, config testmodel.Config, divisors []float32) *gguf.File {
	t.Helper()
	source := testmodel.Open(config)
	w := gguf.NewWriter()
	for _, key := range source.Keys() {
		if number, err := source.Int(key); err == nil {
			w.Set(key, number)
		} else if float, err := source.Float(key); err == nil {
			w.Set(key, float)
		} else if text, err := source.Text(key); err == nil {
			w.Set(key, text)
		}
	}
	for _, tensor := range source.Tensors() {
		if err := w.Add(tensor.Name, tensor.Type, tensor.Shape, tensor.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.AddFloats("rope_freqs.weight", gguf.F32, []int{len(divisors)}, divisors); err != nil {
		t.Fatal(err)
	}
	file, err := gguf.Parse(w.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDivisorsOfFrequenciesAreLinearScalingPairByPair(t *testing.T) {
	config := testmodel.Tiny()
	config.Type = gguf.F32
	tokens := tokensOf(300, 30, 3)
	linear := config
	linear.Extra = map[string]any{"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": float32(4)}
	want := feed(t, open(t, testmodel.Open(linear), WithPages(3)), tokens)
	got := feed(t, open(t, withDivisors(t, config, slices.Repeat([]float32{4}, 8)), WithPages(3)), tokens)
	plain := feed(t, open(t, testmodel.Open(config), WithPages(3)), tokens)
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Fatalf("position %d: eight divisors of 4 differ from linear scaling by 4", i)
		}
	}
	if slices.Equal(got[29], plain[29]) {
		t.Error("the divisors change nothing")
	}
	for _, bad := range []float32{0, -1, float32(math.NaN())} {
		divisors := slices.Repeat([]float32{1}, 8)
		divisors[5] = bad
		if _, err := New(withDivisors(t, config, divisors)); err == nil || !strings.Contains(err.Error(), `"rope_freqs.weight": value 5 is`) {
			t.Errorf("a divisor of %g: %v", bad, err)
		}
	}
}

// Only the dimensions that the file names are turned.
func TestPartOfAHeadMayStayUnturned(t *testing.T) {
	r := newRope(&shape{headSize: 8, rotated: 4, rope: ropeShape{base: 10000, scaling: "none"}}, nil)
	turns := make([]float32, 4)
	r.angles(turns, 3)
	head := []float32{1, 2, 3, 4, 5, 6, 7, 8}
	out := make([]float32, 8)
	r.turn(out, head, turns, 2)
	a, b := 3.0, 0.03
	want := []float64{
		2 * (math.Cos(a) - 2*math.Sin(a)), 2 * (math.Sin(a) + 2*math.Cos(a)),
		2 * (3*math.Cos(b) - 4*math.Sin(b)), 2 * (3*math.Sin(b) + 4*math.Cos(b)), 10, 12, 14, 16,
	}
	for i := range want {
		if math.Abs(float64(out[i])-want[i]) > 1e-5 {
			t.Errorf("dimension %d is %g, want %g", i, out[i], want[i])
		}
	}
}
