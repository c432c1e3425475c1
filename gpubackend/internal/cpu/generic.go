package cpu

import (
	"encoding/binary"
	"math"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// genericKernels are plain Go: the reference for the others, and what runs on
// processors without a version of their own.
func genericKernels() *kernels {
	return &kernels{
		level:     "generic",
		groups:    []int{8, 4, 1},
		tile:      genericTile,
		dot:       genericDot,
		quantise:  genericQuantise,
		normalise: genericNormalise,
		gate:      genericGate,
		scores:    genericScores,
		add:       genericAdd,
		softmax:   genericSoftmax,
		mix:       genericMix,
	}
}

func genericTile(out []float32, stride int, values []byte, scales []uint16, x group) {
	var sums [maxGroup][tileRows]float32
	for block := range x.blocks {
		weights := values[block*tileBlock:][:tileBlock]
		var rowScales [tileRows]float32
		for r := range rowScales {
			rowScales[r] = gguf.HalfToFloat(scales[block*tileRows+r])
		}
		for t := range x.tokens {
			activations := x.values[(block*x.tokens+t)*blockSize:][:blockSize]
			scale := x.scales[block*x.tokens+t]
			products := blockProducts(weights, activations)
			for r, product := range products {
				sums[t][r] += float32(product) * (rowScales[r] * scale)
			}
		}
	}
	for t := range x.tokens {
		copy(out[t*stride:][:tileRows], sums[t][:])
	}
}

func blockProducts(weights []byte, activations []int8) (products [tileRows]int32) {
	for i := 0; i < blockSize; i += 4 {
		a, b, c, d := int32(activations[i]), int32(activations[i+1]), int32(activations[i+2]), int32(activations[i+3])
		four := weights[i*tileRows:][:4*tileRows]
		for r := range products {
			w := four[r*4:][:4:4]
			products[r] += int32(int8(w[0]))*a + int32(int8(w[1]))*b + int32(int8(w[2]))*c + int32(int8(w[3]))*d
		}
	}
	return products
}

func genericDot(out []float32, stride int, kind gguf.Type, row []byte, x []float32, tokens int) {
	columns := len(x) / tokens
	for t := range tokens {
		token := x[t*columns:][:columns]
		// Four sums: shorter chains of additions, and less rounding.
		var sums [4]float32
		switch kind {
		case gguf.F32:
			for i, number := range token {
				sums[i&3] += number * math.Float32frombits(binary.LittleEndian.Uint32(row[4*i:]))
			}
		case gguf.F16:
			for i, number := range token {
				sums[i&3] += number * gguf.HalfToFloat(binary.LittleEndian.Uint16(row[2*i:]))
			}
		default:
			for i, number := range token {
				sums[i&3] += number * gguf.BrainToFloat(binary.LittleEndian.Uint16(row[2*i:]))
			}
		}
		out[t*stride] = (sums[0] + sums[1]) + (sums[2] + sums[3])
	}
}

// smallest is the least magnitude that a block's largest activation may have: the
// inverse of smaller ones could be infinite.
const smallest = 1e-30

func genericQuantise(values []int8, scales []float32, sums []int32, step int, x []float32) {
	for block := 0; block*blockSize < len(x); block++ {
		source := x[block*blockSize:][:blockSize]
		target := values[block*step*blockSize:][:blockSize]
		var largest float32
		for _, number := range source {
			largest = max(largest, float32(math.Abs(float64(number))))
		}
		if largest < smallest {
			largest = 0
		}
		inverse := float32(0)
		if largest > 0 {
			inverse = 127 / largest
		}
		sum := int32(0)
		for i, number := range source {
			rounded := math.RoundToEven(float64(number * inverse))
			target[i] = int8(rounded)
			sum += int32(rounded)
		}
		scales[block*step] = largest / 127
		sums[block*step] = -128 * sum
	}
}

func genericNormalise(out, x, weight []float32, epsilon float32) {
	var sum float64
	for _, number := range x {
		sum += float64(number) * float64(number)
	}
	scale := float32(1 / math.Sqrt(sum/float64(len(x))+float64(epsilon)))
	for i, number := range x {
		out[i] = number * scale * weight[i]
	}
}

func genericGate(out, gate, up []float32) {
	for i, number := range gate {
		out[i] = number / (1 + exp(-number)) * up[i]
	}
}

func genericAdd(out, x []float32) {
	for i, number := range x {
		out[i] += number
	}
}

func exp(x float32) float32 { return float32(math.Exp(float64(x))) }

func genericScores(out []float32, stride int, queries, keys []float32, size, count int) {
	for q := range count {
		var sums [pagePositions]float32
		for d, number := range queries[q*size:][:size] {
			row := keys[d*pagePositions:][:pagePositions]
			for p := range sums {
				sums[p] += number * row[p]
			}
		}
		copy(out[q*stride:][:pagePositions], sums[:])
	}
}

func genericSoftmax(x []float32, count int) {
	clear(x[count:])
	x = x[:count]
	largest := x[0]
	for _, number := range x {
		largest = max(largest, number)
	}
	var sum float32
	for i, number := range x {
		x[i] = exp(number - largest)
		sum += x[i]
	}
	scale := 1 / sum
	for i := range x {
		x[i] *= scale
	}
}

func genericMix(out []float32, weights []float32, stride int, values []float32, size, positions, count int) {
	for q := range count {
		target := out[q*size:][:size]
		for p := range positions {
			weight := weights[q*stride+p]
			for d, number := range values[p*size:][:size] {
				target[d] += weight * number
			}
		}
	}
}
