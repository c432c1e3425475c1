package gguf

import "math"

// HalfToFloat converts an IEEE 754 binary16 number.
func HalfToFloat(half uint16) float32 {
	sign := uint32(half>>15) << 31
	exponent := uint32(half>>10) & 31
	fraction := uint32(half) & 1023
	switch exponent {
	case 0:
		// Subnormal: fraction * 2^-24, exact in float32.
		magnitude := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(magnitude))
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// FloatToHalf converts to IEEE 754 binary16, rounding to nearest, ties to even.
// What is too large becomes infinite.
func FloatToHalf(number float32) uint16 {
	bits := math.Float32bits(number)
	sign := uint16(bits>>16) & 0x8000
	bits &= 0x7fffffff
	switch {
	case bits > 0x7f800000:
		return sign | 0x7e00
	case bits >= 0x477ff000: // rounds to 65536 or more
		return sign | 0x7c00
	case bits < 0x38800000: // below 2^-14: subnormal
		// Adding 0.5 makes the sum's unit in the last place 2^-24, the spacing of
		// subnormals: the addition rounds as binary16 must.
		sum := math.Float32frombits(bits) + 0.5
		return sign | uint16(math.Float32bits(sum)-math.Float32bits(0.5))
	}
	bits += 0xfff + (bits>>13)&1
	return sign | uint16((bits-112<<23)>>13)
}

// BrainToFloat converts a bfloat16 number.
func BrainToFloat(brain uint16) float32 { return math.Float32frombits(uint32(brain) << 16) }

// FloatToBrain converts to bfloat16, rounding to nearest, ties to even.
func FloatToBrain(number float32) uint16 {
	bits := math.Float32bits(number)
	if bits&0x7fffffff > 0x7f800000 {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + (bits>>16)&1) >> 16)
}
