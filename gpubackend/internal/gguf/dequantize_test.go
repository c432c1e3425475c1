package gguf_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// patterned returns the same bytes for a format every time, with scales in range.
func patterned(kind gguf.Type, count int) []byte {
	elements, size := kind.Block()
	r := rand.New(rand.NewPCG(uint64(kind), 1))
	data := make([]byte, count/elements*size)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	scales := map[gguf.Type][]int{
		gguf.Q4_0: {0}, gguf.Q4_1: {0, 2}, gguf.Q5_0: {0}, gguf.Q5_1: {0, 2}, gguf.Q8_0: {0}, gguf.Q8_1: {0, 2},
		gguf.Q2_K: {80, 82}, gguf.Q3_K: {108}, gguf.Q4_K: {0, 2}, gguf.Q5_K: {0, 2}, gguf.Q6_K: {208}, gguf.Q8_K: {2},
		gguf.IQ4_NL: {0}, gguf.IQ4_XS: {0}, gguf.TQ1_0: {52}, gguf.TQ2_0: {64},
	}[kind]
	for at := 0; at < len(data); at += size {
		for _, scale := range scales {
			half := gguf.FloatToHalf(float32(r.IntN(7)-3) / 4)
			data[at+scale], data[at+scale+1] = byte(half), byte(half>>8)
		}
		if kind == gguf.MXFP4 {
			data[at] = byte(124 + r.IntN(6))
		}
	}
	return data
}

// The sums were taken when every format agreed with another implementation on
// encoded random values (the test for that is in ../peer); they keep it so.
func TestFormatsDecodeAsTheyDid(t *testing.T) {
	for kind, want := range map[gguf.Type]float64{
		gguf.Q4_0:   -3273.5,
		gguf.Q4_1:   25165.75,
		gguf.Q5_0:   -5583.75,
		gguf.Q5_1:   -158849.25,
		gguf.Q8_0:   38100.25,
		gguf.Q8_1:   90577.5,
		gguf.Q2_K:   263714.75,
		gguf.Q3_K:   -32167.25,
		gguf.Q4_K:   349356.75,
		gguf.Q5_K:   953394.25,
		gguf.Q6_K:   945489.75,
		gguf.Q8_K:   -34.660793,
		gguf.IQ4_NL: 91282.25,
		gguf.IQ4_XS: -4958127.2,
		gguf.TQ1_0:  -1256,
		gguf.TQ2_0:  2690,
		gguf.MXFP4:  1523.5,
	} {
		const count = 1024
		values := make([]float32, count)
		if err := gguf.Dequantize(kind, patterned(kind, count), values); err != nil {
			t.Fatal(err)
		}
		var sum float64
		for i, number := range values {
			sum += float64(number) * float64(i%97+1)
		}
		if math.Abs(sum-want) > 1e-4*math.Abs(want) || sum != sum {
			t.Errorf("%s: the weighted sum is %.6g, want %.6g", kind, sum, want)
		}
	}
}

func TestDecodingChecksTheSizes(t *testing.T) {
	for _, test := range []struct {
		kind          gguf.Type
		bytes, values int
	}{{gguf.Q8_0, 34, 31}, {gguf.Q8_0, 33, 32}, {gguf.Q4_K, 144, 32}, {gguf.F32, 3, 1}, {gguf.I8, 1, 1}, {99, 1, 1}} {
		if err := gguf.Dequantize(test.kind, make([]byte, test.bytes), make([]float32, test.values)); err == nil {
			t.Errorf("%d bytes of %s were taken for %d values", test.bytes, test.kind, test.values)
		}
	}
	if err := gguf.Dequantize(gguf.F32, []byte{0, 0, 0x80, 0x3f}, make([]float32, 1)); err != nil {
		t.Error(err)
	}
}

// All 65536 values, against the definition.
func TestHalvesConvertBothWays(t *testing.T) {
	for bits := range 1 << 16 {
		half := uint16(bits)
		sign, exponent, fraction := 1.0, int(half>>10)&31, float64(half&1023)
		if half>>15 == 1 {
			sign = -1
		}
		var want float64
		switch exponent {
		case 0:
			want = sign * fraction * math.Ldexp(1, -24)
		case 31:
			want = sign * math.Inf(1)
			if fraction != 0 {
				want = math.NaN()
			}
		default:
			want = sign * (1 + fraction/1024) * math.Ldexp(1, exponent-15)
		}
		got := gguf.HalfToFloat(half)
		if want != want {
			if got == got || gguf.HalfToFloat(gguf.FloatToHalf(got)) == gguf.HalfToFloat(gguf.FloatToHalf(got)) {
				t.Fatalf("%#x: %g is a number", half, got)
			}
			continue
		}
		if float64(got) != want {
			t.Fatalf("%#x: %g, want %g", half, got, want)
		}
		if back := gguf.FloatToHalf(got); back != half {
			t.Fatalf("%#x: %g goes back to %#x", half, got, back)
		}
	}
}

func TestTiesRoundToEven(t *testing.T) {
	for bits := uint16(0); bits < 0x7bff; bits++ {
		tie := (gguf.HalfToFloat(bits) + gguf.HalfToFloat(bits+1)) / 2
		if got, want := gguf.FloatToHalf(tie), bits+bits&1; got != want {
			t.Fatalf("%g became %#x, want %#x", tie, got, want)
		}
	}
	for bits := uint16(0x3f00); bits < 0x4000; bits++ {
		tie := (gguf.BrainToFloat(bits) + gguf.BrainToFloat(bits+1)) / 2
		if got, want := gguf.FloatToBrain(tie), bits+bits&1; got != want {
			t.Fatalf("%g became %#x in bfloat16, want %#x", tie, got, want)
		}
	}
}

func TestFloatsRoundToTheNearestHalf(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200000 {
		number := float32(math.Ldexp(r.Float64()*2-1, r.IntN(42)-26))
		half := gguf.FloatToHalf(number)
		got := math.Abs(float64(gguf.HalfToFloat(half)) - float64(number))
		for _, neighbour := range []uint16{half - 1, half + 1} {
			if other := float64(gguf.HalfToFloat(neighbour)); neighbour>>15 == half>>15 && math.Abs(other-float64(number)) < got {
				t.Fatalf("%g became %g, but %g is nearer", number, gguf.HalfToFloat(half), other)
			}
		}
		brain := gguf.FloatToBrain(number)
		got = math.Abs(float64(gguf.BrainToFloat(brain)) - float64(number))
		for _, neighbour := range []uint16{brain - 1, brain + 1} {
			if other := float64(gguf.BrainToFloat(neighbour)); math.Abs(other-float64(number)) < got {
				t.Fatalf("%g became %g in bfloat16, but %g is nearer", number, gguf.BrainToFloat(brain), other)
			}
		}
	}
}
