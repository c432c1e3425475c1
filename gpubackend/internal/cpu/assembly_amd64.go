package cpu

// The functions in the .s files, by file.

//go:noescape
func tile512x8(out *float32, stride int, values *byte, scales *uint16, x *int8, xScales *float32, xSums *int32, blocks int)

//go:noescape
func tile512x4(out *float32, stride int, values *byte, scales *uint16, x *int8, xScales *float32, xSums *int32, blocks int)

//go:noescape
func tile512x2(out *float32, stride int, values *byte, scales *uint16, x *int8, xScales *float32, xSums *int32, blocks int)

//go:noescape
func tile512x1(out *float32, stride int, values *byte, scales *uint16, x *int8, xScales *float32, xSums *int32, blocks int)

//go:noescape
func tile256x4(out *float32, stride int, values *byte, scales *uint16, x *int8, xScales *float32, xSums *int32, blocks int)

//go:noescape
func tile256x1(out *float32, stride int, values *byte, scales *uint16, x *int8, xScales *float32, xSums *int32, blocks int)

//go:noescape
func dotF32x4(out *float32, stride int, row *byte, x *float32, apart, count int)

//go:noescape
func dotF32x1(out *float32, stride int, row *byte, x *float32, apart, count int)

//go:noescape
func dotF16x4(out *float32, stride int, row *byte, x *float32, apart, count int)

//go:noescape
func dotF16x1(out *float32, stride int, row *byte, x *float32, apart, count int)

//go:noescape
func dotBF16x4(out *float32, stride int, row *byte, x *float32, apart, count int)

//go:noescape
func dotBF16x1(out *float32, stride int, row *byte, x *float32, apart, count int)

//go:noescape
func gateBy8(out, gate, up *float32, count int)

//go:noescape
func softmaxBy8(x *float32, count int)

//go:noescape
func squaresBy8(x *float32, count int) float32

//go:noescape
func scaleBy8(out, x, weight *float32, count int, scale float32)

//go:noescape
func addBy8(out, x *float32, count int)

//go:noescape
func quantiseBlocks(values *int8, scales *float32, sums *int32, step int, x *float32, blocks int)

//go:noescape
func scores4(out *float32, stride int, queries, keys *float32, size int)

//go:noescape
func scores1(out, query, keys *float32, size int)

//go:noescape
func mix4(out, weights *float32, stride int, values *float32, size, positions int)

//go:noescape
func mix1(out, weights, values *float32, size, positions int)
