package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Encode encodes values as F32, F16, BF16 or Q8_0. For Q8_0 their number must be
// a multiple of 32.
func Encode(kind Type, values []float32) ([]byte, error) {
	known, _ := kind.layout()
	switch kind {
	case F32, F16, BF16:
	case Q8_0:
		if len(values)%known.elements != 0 {
			return nil, fmt.Errorf("gguf: %d values do not divide into blocks of %d", len(values), known.elements)
		}
	default:
		return nil, fmt.Errorf("gguf: cannot encode %s", kind)
	}
	data := make([]byte, len(values)/known.elements*known.size)
	for i, number := range values {
		switch kind {
		case F32:
			binary.LittleEndian.PutUint32(data[i*4:], math.Float32bits(number))
		case F16:
			binary.LittleEndian.PutUint16(data[i*2:], FloatToHalf(number))
		case BF16:
			binary.LittleEndian.PutUint16(data[i*2:], FloatToBrain(number))
		}
	}
	if kind == Q8_0 {
		for i := 0; i < len(values); i += known.elements {
			EncodeQ8_0(data[i/known.elements*known.size:], values[i:i+known.elements])
		}
	}
	return data, nil
}

// EncodeQ8_0 encodes 32 values as a block of 34 bytes: the scale, which is the
// largest magnitude over 127, as binary16, and the values over the scale,
// rounded to nearest, halves away from zero.
func EncodeQ8_0(block []byte, values []float32) {
	var largest float32
	for _, number := range values[:32] {
		largest = max(largest, float32(math.Abs(float64(number))))
	}
	scale := largest / 127
	var inverse float32
	if scale != 0 {
		inverse = 1 / scale
	}
	binary.LittleEndian.PutUint16(block, FloatToHalf(scale))
	for i, number := range values[:32] {
		// A subnormal scale has an infinite inverse; clamp what that gives.
		scaled := min(max(float64(number*inverse), -127), 127)
		block[2+i] = byte(int8(math.Round(scaled)))
	}
}
