package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// fast returns the kernels that are not generic. Every test below compares them
// with the generic ones, and those with plain sums in float64 where rounding
// matters.
func fast(t *testing.T) []*kernels {
	var all []*kernels
	for _, level := range levels() {
		k, err := kernelsFor(level)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	return all
}

func normal(r *rand.Rand, count int) []float32 {
	numbers := make([]float32, count)
	for i := range numbers {
		numbers[i] = float32(r.NormFloat64())
	}
	return numbers
}

// near reports whether two numbers differ by at most bound times the scale of
// what they were made from.
func near(got, want, scale, bound float64) bool {
	return math.Abs(got-want) <= bound*(math.Abs(want)+scale)
}

func TestTileKernelsMultiply(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, k := range fast(t) {
		for _, tokens := range k.groups {
			for _, blocks := range []int{1, 2, 3, 24, 65} {
				t.Run(fmt.Sprintf("%s/%d/%d", k.level, tokens, blocks), func(t *testing.T) {
					testTile(t, r, k, tokens, blocks)
				})
			}
		}
	}
}

func testTile(t *testing.T, r *rand.Rand, k *kernels, tokens, blocks int) {
	values, scales := make([]byte, blocks*tileBlock), make([]uint16, blocks*tileRows)
	for i := range values {
		// The extremes are where products overflow if anything does.
		values[i] = []byte{0x80, 0x7f, 0x81, byte(r.Uint32())}[r.IntN(4)]
	}
	for i := range scales {
		scales[i] = gguf.FloatToHalf(float32(r.NormFloat64()))
	}
	x := randomGroup(r, tokens, blocks)
	want := make([]float64, tokens*tileRows)
	for block := range blocks {
		for row := range tileRows {
			for token := range tokens {
				var sum int64
				for column := range blockSize {
					weight := int8(values[block*tileBlock+column/4*64+row*4+column%4])
					sum += int64(weight) * int64(x.values[(block*tokens+token)*blockSize+column])
				}
				scale := float64(gguf.HalfToFloat(scales[block*tileRows+row])) * float64(x.scales[block*tokens+token])
				want[token*tileRows+row] += float64(sum) * scale
			}
		}
	}
	for i := range values {
		values[i] ^= k.bias
	}
	const stride = tileRows + 5
	out := make([]float32, tokens*stride)
	for i := range out {
		out[i] = -7
	}
	k.tile(out, stride, values, scales, x)
	for token := range tokens {
		for i, got := range out[token*stride : (token+1)*stride] {
			if i >= tileRows {
				if got != -7 {
					t.Fatalf("token %d: wrote beyond the tile", token)
				}
			} else if !near(float64(got), want[token*tileRows+i], 1e5*float64(blocks), 1e-6) {
				t.Fatalf("token %d, row %d: %g, want %g", token, i, got, want[token*tileRows+i])
			}
		}
	}
}

// randomGroup is a group of activations, with extremes among them.
func randomGroup(r *rand.Rand, tokens, blocks int) group {
	x := group{
		tokens: tokens, blocks: blocks, values: make([]int8, tokens*blocks*blockSize),
		scales: make([]float32, tokens*blocks), sums: make([]int32, tokens*blocks),
	}
	for i := range x.values {
		x.values[i] = []int8{-127, 127, int8(r.IntN(255) - 127)}[r.IntN(3)]
		x.sums[i/blockSize] -= 128 * int32(x.values[i])
	}
	for i := range x.scales {
		x.scales[i] = r.Float32()
	}
	return x
}

func TestDotKernelsMultiply(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, k := range fast(t) {
		for _, kind := range []gguf.Type{gguf.F32, gguf.F16, gguf.BF16} {
			for _, columns := range []int{1, 2, 15, 16, 17, 31, 32, 48, 63, 768} {
				weights := normal(r, columns)
				row, err := gguf.Encode(kind, weights)
				if err != nil {
					t.Fatal(err)
				}
				if err := gguf.Dequantize(kind, row, weights); err != nil {
					t.Fatal(err)
				}
				for tokens := 1; tokens <= 4; tokens++ {
					x := normal(r, columns*tokens)
					const stride = 3
					out := make([]float32, tokens*stride)
					k.dot(out, stride, kind, row, x, tokens)
					for token := range tokens {
						var want, scale float64
						for i, weight := range weights {
							product := float64(weight) * float64(x[token*columns+i])
							want, scale = want+product, scale+math.Abs(product)
						}
						if got := out[token*stride]; !near(float64(got), want, scale, 1e-6) {
							t.Fatalf("%s %s, %d columns, token %d of %d: %g, want %g", k.level, kind, columns, token, tokens, got, want)
						}
					}
				}
			}
		}
	}
}

func TestQuantiseKernelsAgreeToTheBit(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	x := normal(r, 40*blockSize)
	clear(x[:blockSize])
	for i := range blockSize {
		x[blockSize+i] *= 1e-35    // so small that the inverse would be infinite
		x[2*blockSize+i] *= 1e-29  // just large enough
		x[3*blockSize+i] *= 1e37   // large
		x[6*blockSize+i] = 1.5e-30 // just above the least magnitude
		x[7*blockSize+i] = 0.9e-30 // just below
		x[4*blockSize+i] = -1      // all at the lower end
		x[5*blockSize+i] = 0.5 / 2 // halves after scaling
	}
	x[5*blockSize] = 127.0 / 2
	for _, k := range fast(t) {
		for _, step := range []int{1, 2, 4, 8} {
			for _, blocks := range []int{1, 2, 40} {
				var got, want group
				for _, g := range []*group{&got, &want} {
					g.values = make([]int8, blocks*step*blockSize)
					g.scales, g.sums = make([]float32, blocks*step), make([]int32, blocks*step)
				}
				k.quantise(got.values, got.scales, got.sums, step, x[:blocks*blockSize])
				genericQuantise(want.values, want.scales, want.sums, step, x[:blocks*blockSize])
				if !slices.Equal(got.values, want.values) || !slices.Equal(got.scales, want.scales) || !slices.Equal(got.sums, want.sums) {
					t.Fatalf("%s, step %d, %d blocks: differs from the generic kernel", k.level, step, blocks)
				}
			}
		}
	}
	// And the generic kernel keeps what it promises.
	values, scales, sums := make([]int8, len(x)), make([]float32, len(x)/blockSize), make([]int32, len(x)/blockSize)
	genericQuantise(values, scales, sums, 1, x)
	for i, number := range x {
		if math.Abs(float64(number)-float64(values[i])*float64(scales[i/blockSize])) > 0.501*float64(scales[i/blockSize])+smallest {
			t.Fatalf("value %d: %g became %d * %g", i, number, values[i], scales[i/blockSize])
		}
	}
	for block, sum := range sums {
		for _, value := range values[block*blockSize:][:blockSize] {
			sum += 128 * int32(value)
		}
		if sum != 0 {
			t.Fatalf("block %d: the sum is off by %d", block, sum)
		}
	}
}

func TestElementWiseKernelsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, k := range fast(t) {
		for _, count := range []int{1, 7, 8, 9, 16, 23, 24, 64, 77, 768} {
			x, y := normal(r, count), normal(r, count)
			for i := range x {
				x[i] *= 10
			}
			x[0] = 200 * float32(r.IntN(3)-1) // where exponentials leave the range
			got, want := make([]float32, count), make([]float32, count)
			compare := func(what string, bound float64) {
				t.Helper()
				for i := range want {
					if !near(float64(got[i]), float64(want[i]), 1e-20, bound) {
						t.Fatalf("%s %s, %d values: value %d is %g, want %g", k.level, what, count, i, got[i], want[i])
					}
				}
			}
			k.gate(got, x, y)
			for i := range want {
				want[i] = float32(float64(x[i]) / (1 + math.Exp(-float64(x[i]))) * float64(y[i]))
			}
			compare("gate", 1e-6)
			k.normalise(got, x, y, 1e-5)
			genericNormalise(want, x, y, 1e-5)
			compare("normalise", 1e-6)
			copy(got, y)
			copy(want, y)
			k.add(got, x)
			genericAdd(want, x)
			compare("add", 0)
		}
	}
}

func TestSoftmaxKernelsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, k := range fast(t) {
		for count := 1; count < 70; count++ {
			x := normal(r, (count+15)/16*16)
			for i := range x {
				x[i] *= 20
			}
			got := slices.Clone(x)
			k.softmax(got, count)
			var sum, total float64
			largest := float64(slices.Max(x[:count]))
			for _, number := range x[:count] {
				sum += math.Exp(float64(number) - largest)
			}
			for i, number := range got {
				total += float64(number)
				want := math.Exp(float64(x[i])-largest) / sum
				if i >= count {
					want = 0
				}
				if !near(float64(number), want, 1e-3, 2e-6) || i >= count && number != 0 {
					t.Fatalf("%s, %d scores: value %d is %g, want %g", k.level, count, i, number, want)
				}
			}
			if math.Abs(total-1) > 1e-6 {
				t.Fatalf("%s, %d scores: the weights sum to %g", k.level, count, total)
			}
		}
	}
}

func TestAttentionKernelsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for _, k := range fast(t) {
		for _, size := range []int{16, 32, 64, 80, 128, 256} {
			for count := 1; count <= queriesAtOnce; count++ {
				const stride = 3 * pagePositions
				queries, page := normal(r, count*size), normal(r, size*pagePositions)
				got, want := make([]float32, count*stride), make([]float32, count*stride)
				k.scores(got, stride, queries, page, size, count)
				genericScores(want, stride, queries, page, size, count)
				for i := range want {
					if !near(float64(got[i]), float64(want[i]), math.Sqrt(float64(size)), 2e-6) {
						t.Fatalf("%s scores, size %d, %d queries: value %d is %g, want %g", k.level, size, count, i, got[i], want[i])
					}
				}
				for positions := 1; positions <= pagePositions; positions++ {
					weights := normal(r, count*stride)
					got, want := normal(r, count*size), make([]float32, count*size)
					copy(want, got)
					k.mix(got, weights, stride, page, size, positions, count)
					genericMix(want, weights, stride, page, size, positions, count)
					for i := range want {
						if !near(float64(got[i]), float64(want[i]), 4, 2e-6) {
							t.Fatalf("%s mix, size %d, %d queries, %d positions: value %d is %g, want %g",
								k.level, size, count, positions, i, got[i], want[i])
						}
					}
				}
			}
		}
	}
}
