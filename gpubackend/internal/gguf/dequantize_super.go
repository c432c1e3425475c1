package gguf

import "encoding/binary"

// decoderOfSuperBlock covers the formats with blocks of 256 values, which have
// scales of their own for each 16 or 32 values under a common scale.
func decoderOfSuperBlock(kind Type) func(src []byte, dst []float32) {
	switch kind {
	case Q2_K:
		return decodeQ2_K
	case Q3_K:
		return decodeQ3_K
	case Q4_K:
		return decodeQ4_K
	case Q5_K:
		return decodeQ5_K
	case Q6_K:
		return decodeQ6_K
	case IQ4_XS:
		return decodeIQ4_XS
	case TQ1_0:
		return decodeTQ1_0
	case TQ2_0:
		return decodeTQ2_0
	}
	return nil
}

// 16 bytes of scale and minimum (4 bits each), 64 bytes with 2-bit values, the
// common scale, the common minimum.
func decodeQ2_K(src []byte, dst []float32) {
	scales, values := src[:16], src[16:80]
	scale, lowest := half(src[80:]), half(src[82:])
	for i := range dst {
		group := i / 16
		step, base := scale*float32(scales[group]&15), lowest*float32(scales[group]>>4)
		// Each run of 32 bytes holds 128 values: four runs of 32, two bits apart.
		packed := values[i/128*32+i%32] >> (i % 128 / 32 * 2) & 3
		dst[i] = step*float32(packed) - base
	}
}

// 32 bytes with the third bits, 64 bytes with the low two bits, 12 bytes with 16
// six-bit scales, the common scale.
func decodeQ3_K(src []byte, dst []float32) {
	third, values, scales := src[:32], src[32:96], src[96:108]
	scale := half(src[108:])
	for i := range dst {
		group := i / 16
		low := scales[group%8] >> (group / 8 * 4) & 15
		high := scales[8+group%4] >> (group / 4 * 2) & 3
		step := scale * float32(int(low|high<<4)-32)
		packed := int(values[i/128*32+i%32] >> (i % 128 / 32 * 2) & 3)
		if third[i%32]>>(i/32)&1 == 0 {
			packed -= 4
		}
		dst[i] = step * float32(packed)
	}
}

// scaleAndMinimum unpacks the six-bit pair of a group of 32 values out of 12
// bytes: groups 0 to 3 stand whole in the low six bits, groups 4 to 7 have
// their low four bits in the last four bytes and the high two in the rest.
func scaleAndMinimum(packed []byte, group int) (scale, minimum float32) {
	if group < 4 {
		return float32(packed[group] & 63), float32(packed[group+4] & 63)
	}
	return float32(packed[group+4]&15 | packed[group-4]>>6<<4),
		float32(packed[group+4]>>4 | packed[group]>>6<<4)
}

// The common scale, the common minimum, 12 bytes of scales and minima, 128
// bytes with 4-bit values: each 32 bytes hold one group low and the next high.
func decodeQ4_K(src []byte, dst []float32) {
	common, lowest := half(src), half(src[2:])
	for group := range 8 {
		scale, minimum := scaleAndMinimum(src[4:16], group)
		step, base := common*scale, lowest*minimum
		for i, packed := range src[16+group/2*32:][:32] {
			dst[group*32+i] = step*float32(packed>>(group%2*4)&15) - base
		}
	}
}

// As Q4_K, with 32 bytes of fifth bits before the values, one bit a group.
func decodeQ5_K(src []byte, dst []float32) {
	common, lowest := half(src), half(src[2:])
	fifth := src[16:48]
	for group := range 8 {
		scale, minimum := scaleAndMinimum(src[4:16], group)
		step, base := common*scale, lowest*minimum
		for i, packed := range src[48+group/2*32:][:32] {
			whole := packed>>(group%2*4)&15 | fifth[i]>>group&1<<4
			dst[group*32+i] = step*float32(whole) - base
		}
	}
}

// 128 bytes with the low four bits, 64 bytes with the high two, 16 signed
// scales, the common scale.
func decodeQ6_K(src []byte, dst []float32) {
	low, high, scales := src[:128], src[128:192], src[192:208]
	common := half(src[208:])
	for i := range dst {
		part, run, column := i/128, i%128/32, i%32
		four := low[part*64+run%2*32+column] >> (run / 2 * 4) & 15
		two := high[part*32+column] >> (run * 2) & 3
		step := common * float32(int8(scales[i/16]))
		dst[i] = step * float32(int(four|two<<4)-32)
	}
}

// The common scale, the high two bits of eight scales, their low four bits, 128
// bytes of 4-bit indexes.
func decodeIQ4_XS(src []byte, dst []float32) {
	common, high := half(src), binary.LittleEndian.Uint16(src[2:])
	for group := range 8 {
		low := src[4+group/2] >> (group % 2 * 4) & 15
		scale := int(low) | int(high>>(group*2)&3)<<4
		decodeTable(common*float32(scale-32), &unevenLevels, src[8+group*16:], dst[group*32:])
	}
}

// Five values of -1, 0, 1 stand in a byte as a fraction of 256 in base three:
// multiplying by 3^n moves digit n into the carry.
func decodeTQ1_0(src []byte, dst []float32) {
	scale := half(src[52:])
	powers := [5]byte{1, 3, 9, 27, 81}
	at := 0
	unpack := func(packed []byte, digits int) {
		for digit := range digits {
			for _, b := range packed {
				carry := uint16(b*powers[digit]) * 3 >> 8
				dst[at] = scale * float32(int(carry)-1)
				at++
			}
		}
	}
	unpack(src[:32], 5)
	unpack(src[32:48], 5)
	unpack(src[48:52], 4)
}

// 64 bytes with 2-bit values of -1, 0, 1, then the scale.
func decodeTQ2_0(src []byte, dst []float32) {
	scale := half(src[64:])
	for i := range dst {
		packed := src[i/128*32+i%32] >> (i % 128 / 32 * 2) & 3
		dst[i] = scale * float32(int(packed)-1)
	}
}
