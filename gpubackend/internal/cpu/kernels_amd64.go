package cpu

import (
	"math"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// avx2Kernels need AVX2, FMA and F16C.
func avx2Kernels() *kernels {
	k := genericKernels()
	k.level = "avx2"
	k.groups = []int{4, 1}
	k.tile = tileAVX2
	k.dot = dotAVX2
	k.quantise = quantiseAVX2
	k.normalise = normaliseAVX2
	k.gate = gateAVX2
	k.add = addAVX2
	k.scores = scoresAVX2
	k.softmax = softmaxAVX2
	k.mix = mixAVX2
	return k
}

// avx512Kernels need AVX-512 F, BW, VL and VNNI on top.
func avx512Kernels() *kernels {
	k := avx2Kernels()
	k.level = "avx512_vnni"
	k.bias = 0x80
	k.groups = []int{8, 4, 2, 1}
	k.tile = tileAVX512
	return k
}

func tileAVX2(out []float32, stride int, values []byte, scales []uint16, x group) {
	_ = out[(x.tokens-1)*stride+tileRows-1]
	run := tile256x1
	if x.tokens == 4 {
		run = tile256x4
	}
	run(&out[0], stride*4, &values[0], &scales[0], &x.values[0], &x.scales[0], &x.sums[0], x.blocks)
}

func tileAVX512(out []float32, stride int, values []byte, scales []uint16, x group) {
	_ = out[(x.tokens-1)*stride+tileRows-1]
	run := tile512x1
	switch x.tokens {
	case 8:
		run = tile512x8
	case 4:
		run = tile512x4
	case 2:
		run = tile512x2
	}
	run(&out[0], stride*4, &values[0], &scales[0], &x.values[0], &x.scales[0], &x.sums[0], x.blocks)
}

// The kernels take whole registers; what is left over at the end of a row is
// done in Go.

func dotAVX2(out []float32, stride int, kind gguf.Type, row []byte, x []float32, tokens int) {
	columns := len(x) / tokens
	whole := columns &^ 15
	_ = out[(tokens-1)*stride]
	one, four, size := dotBF16x1, dotBF16x4, 2
	switch kind {
	case gguf.F32:
		one, four, size = dotF32x1, dotF32x4, 4
	case gguf.F16:
		one, four = dotF16x1, dotF16x4
	}
	switch {
	case whole == 0:
		for t := range tokens {
			out[t*stride] = 0
		}
	case tokens == 4:
		four(&out[0], stride*4, &row[0], &x[0], columns*4, whole)
	default:
		for t := range tokens {
			one(&out[t*stride], stride*4, &row[0], &x[t*columns], columns*4, whole)
		}
	}
	if whole == columns {
		return
	}
	for t := range tokens {
		var rest [1]float32
		genericDot(rest[:], 1, kind, row[whole*size:], x[t*columns+whole:(t+1)*columns], 1)
		out[t*stride] += rest[0]
	}
}

func quantiseAVX2(values []int8, scales []float32, sums []int32, step int, x []float32) {
	blocks := len(x) / blockSize
	_, _, _ = values[((blocks-1)*step+1)*blockSize-1], scales[(blocks-1)*step], sums[(blocks-1)*step]
	quantiseBlocks(&values[0], &scales[0], &sums[0], step, &x[0], blocks)
}

func normaliseAVX2(out, x, weight []float32, epsilon float32) {
	whole := len(x) &^ 7
	_, _ = out[len(x)-1], weight[len(x)-1]
	var sum float64
	if whole > 0 {
		sum = float64(squaresBy8(&x[0], whole))
	}
	for _, number := range x[whole:] {
		sum += float64(number) * float64(number)
	}
	scale := float32(1 / math.Sqrt(sum/float64(len(x))+float64(epsilon)))
	if whole > 0 {
		scaleBy8(&out[0], &x[0], &weight[0], whole, scale)
	}
	for i := whole; i < len(x); i++ {
		out[i] = x[i] * scale * weight[i]
	}
}

func gateAVX2(out, gate, up []float32) {
	whole := len(gate) &^ 7
	_, _ = out[len(gate)-1], up[len(gate)-1]
	if whole > 0 {
		gateBy8(&out[0], &gate[0], &up[0], whole)
	}
	genericGate(out[whole:], gate[whole:], up[whole:len(gate)])
}

func addAVX2(out, x []float32) {
	whole := len(x) &^ 7
	_ = out[len(x)-1]
	if whole > 0 {
		addBy8(&out[0], &x[0], whole)
	}
	genericAdd(out[whole:], x[whole:])
}

func softmaxAVX2(x []float32, count int) {
	// What lies beyond count is given so low a score that it adds nothing.
	whole := (count + 7) &^ 7
	for i := count; i < whole; i++ {
		x[i] = -math.MaxFloat32
	}
	_ = x[whole-1]
	softmaxBy8(&x[0], whole)
	clear(x[count:])
}

func scoresAVX2(out []float32, stride int, queries, keys []float32, size, count int) {
	_, _ = queries[count*size-1], keys[size*pagePositions-1]
	_ = out[(count-1)*stride+pagePositions-1]
	if count == 4 {
		scores4(&out[0], stride*4, &queries[0], &keys[0], size)
		return
	}
	for q := range count {
		scores1(&out[q*stride], &queries[q*size], &keys[0], size)
	}
}

func mixAVX2(out []float32, weights []float32, stride int, values []float32, size, positions, count int) {
	_, _ = out[count*size-1], values[positions*size-1]
	_ = weights[(count-1)*stride+positions-1]
	if count == 4 {
		mix4(&out[0], &weights[0], stride*4, &values[0], size, positions)
		return
	}
	for q := range count {
		mix1(&out[q*size], &weights[q*stride], &values[0], size, positions)
	}
}
