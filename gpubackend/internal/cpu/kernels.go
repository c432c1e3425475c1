package cpu

import "github.com/penstockhq/penstock/gpubackend/internal/gguf"

// maxGroup is the largest number of tokens that one call of a kernel works on.
const maxGroup = 8

// kernels are the inner loops, in the version for one level of the processor.
// All versions work in the same order within one token's sums, whatever the
// number of tokens, so that a token's numbers do not depend on its company.
type kernels struct {
	level string
	// bias is XORed onto packed weights: 0x80 makes the signed values unsigned.
	bias byte
	// groups are the numbers of tokens that tile accepts, largest first, 1 last.
	groups []int

	// tile multiplies 16 rows with a group of tokens: out[t*stride+r] = the sum over
	// blocks of scale(r) * scale(t) * the integer product. values and scales are
	// those of one tile of a matrix; x is one group of quantised activations.
	tile func(out []float32, stride int, values []byte, scales []uint16, x group)
	// dot multiplies one row of a float kind with up to 4 tokens, which share x
	// evenly: out[t*stride] = the product with token t.
	dot func(out []float32, stride int, kind gguf.Type, row []byte, x []float32, tokens int)
	// quantise encodes 32-value blocks of a token for tile: block b goes to
	// values[b*step*32], its scale to scales[b*step] and -128 times the sum of its
	// values to sums[b*step].
	quantise func(values []int8, scales []float32, sums []int32, step int, x []float32)
	// normalise writes x * weight / rms(x), with epsilon inside the root.
	normalise func(out, x, weight []float32, epsilon float32)
	// gate writes silu(gate) * up.
	gate func(out, gate, up []float32)
	// add adds x to out.
	add func(out, x []float32)
	// scores multiplies up to 4 queries, size apart, with the 16 keys of a page:
	// out[q*stride+p]. keys is transposed: size rows of 16 positions.
	scores func(out []float32, stride int, queries, keys []float32, size, count int)
	// softmax turns the first count scores into weights that sum to 1, in place, and
	// clears the rest. len(x) is a multiple of 16.
	softmax func(x []float32, count int)
	// mix adds weighted values of a page to up to 4 outputs, size apart:
	// out[q] += sum over p of weights[q*stride+p] * values[p], p below positions.
	mix func(out []float32, weights []float32, stride int, values []float32, size, positions, count int)
}

// group is a number of tokens' quantised activations, interleaved block by block.
type group struct {
	first  int // index of its first token in the batch
	tokens int
	blocks int
	values []int8    // [block][token][32]
	scales []float32 // [block][token]
	sums   []int32   // [block][token], -128 times the sum of the values
}
