package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Dequantize decodes whole blocks of a type into dst. The number of values in
// dst must be what src holds.
func Dequantize(kind Type, src []byte, dst []float32) error {
	known, ok := kind.layout()
	if !ok {
		return fmt.Errorf("gguf: %s is not supported", kind)
	}
	if len(dst)%known.elements != 0 || len(src) != len(dst)/known.elements*known.size {
		return fmt.Errorf("gguf: %d bytes of %s are not %d values", len(src), kind, len(dst))
	}
	decode := decoder(kind)
	if decode == nil {
		return fmt.Errorf("gguf: %s does not hold weights", kind)
	}
	for len(dst) > 0 {
		decode(src[:known.size], dst[:known.elements])
		src, dst = src[known.size:], dst[known.elements:]
	}
	return nil
}

// decoder returns the function that decodes one block, nil for the integer types.
func decoder(kind Type) func(src []byte, dst []float32) {
	switch kind {
	case F32:
		return func(src []byte, dst []float32) {
			dst[0] = math.Float32frombits(binary.LittleEndian.Uint32(src))
		}
	case F64:
		return func(src []byte, dst []float32) {
			dst[0] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src)))
		}
	case F16:
		return func(src []byte, dst []float32) { dst[0] = half(src) }
	case BF16:
		return func(src []byte, dst []float32) { dst[0] = BrainToFloat(binary.LittleEndian.Uint16(src)) }
	case Q4_0:
		return decodeQ4_0
	case Q4_1:
		return decodeQ4_1
	case Q5_0:
		return decodeQ5_0
	case Q5_1:
		return decodeQ5_1
	case Q8_0:
		return func(src []byte, dst []float32) { decodeBytes(half(src), src[2:], dst) }
	case Q8_1:
		return func(src []byte, dst []float32) { decodeBytes(half(src), src[4:], dst) }
	case Q8_K:
		return func(src []byte, dst []float32) {
			decodeBytes(math.Float32frombits(binary.LittleEndian.Uint32(src)), src[4:], dst)
		}
	case IQ4_NL:
		return func(src []byte, dst []float32) { decodeTable(half(src), &unevenLevels, src[2:], dst) }
	case MXFP4:
		return decodeMXFP4
	}
	return decoderOfSuperBlock(kind)
}

func half(src []byte) float32 { return HalfToFloat(binary.LittleEndian.Uint16(src)) }

func decodeBytes(scale float32, src []byte, dst []float32) {
	for i := range dst {
		dst[i] = scale * float32(int8(src[i]))
	}
}

// In the 32-value formats the low halves of the 16 bytes are values 0 to 15,
// the high halves values 16 to 31.

func decodeQ4_0(src []byte, dst []float32) {
	scale := half(src)
	for i, pair := range src[2:18] {
		dst[i] = scale * float32(int(pair&15)-8)
		dst[i+16] = scale * float32(int(pair>>4)-8)
	}
}

func decodeQ4_1(src []byte, dst []float32) {
	scale, lowest := half(src), half(src[2:])
	for i, pair := range src[4:20] {
		dst[i] = scale*float32(pair&15) + lowest
		dst[i+16] = scale*float32(pair>>4) + lowest
	}
}

func decodeQ5_0(src []byte, dst []float32) {
	scale, fifth := half(src), binary.LittleEndian.Uint32(src[2:])
	for i, pair := range src[6:22] {
		dst[i] = scale * float32(int(pair&15)+int(fifth>>i&1)<<4-16)
		dst[i+16] = scale * float32(int(pair>>4)+int(fifth>>(i+16)&1)<<4-16)
	}
}

func decodeQ5_1(src []byte, dst []float32) {
	scale, lowest, fifth := half(src), half(src[2:]), binary.LittleEndian.Uint32(src[4:])
	for i, pair := range src[8:24] {
		dst[i] = scale*float32(int(pair&15)+int(fifth>>i&1)<<4) + lowest
		dst[i+16] = scale*float32(int(pair>>4)+int(fifth>>(i+16)&1)<<4) + lowest
	}
}

// unevenLevels are the 16 values of the IQ4 formats, closer together near zero.
var unevenLevels = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// twiceE2M1 are the 16 values of a 4-bit float (two exponent bits, one fraction
// bit), doubled to be whole.
var twiceE2M1 = [16]int8{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

func decodeTable(scale float32, table *[16]int8, src []byte, dst []float32) {
	for i, pair := range src[:16] {
		dst[i] = scale * float32(table[pair&15])
		dst[i+16] = scale * float32(table[pair>>4])
	}
}

func decodeMXFP4(src []byte, dst []float32) {
	// The scale is 2^(e-127); one power less, because the table is doubled.
	decodeTable(float32(math.Ldexp(1, int(src[0])-128)), &twiceE2M1, src[1:], dst)
}
