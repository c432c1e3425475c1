#include "textflag.h"

// A tile of 16 rows, one in each 32-bit lane, times a group of tokens. For each
// block of 32 columns:
//
//	integer sums (Z8 and up) = -128 * sum of the token's values
//	8 times: add the products of four columns
//	float sums (Z0 and up) += integer sums * row scales (Z24) * token's scale
//
// VPDPBUSD multiplies unsigned with signed bytes. The weights are the unsigned
// ones: they are stored with 128 added, which the starting value takes off again.
//
// SI values, R9 row scales, DX activations, R10 their scales, R11 their sums.

#define BEGIN \
	MOVQ out+0(FP), DI \
	MOVQ stride+8(FP), R8 \
	MOVQ values+16(FP), SI \
	MOVQ scales+24(FP), R9 \
	MOVQ x+32(FP), DX \
	MOVQ xScales+40(FP), R10 \
	MOVQ xSums+48(FP), R11 \
	MOVQ blocks+56(FP), CX

#define FINISH(t, whole, float) \
	VCVTDQ2PS whole, whole \
	VMULPS.BCST (t*4)(R10), Z24, Z25 \
	VFMADD231PS Z25, whole, float

#define NEXT(tokens) \
	ADDQ $512, SI \
	ADDQ $32, R9 \
	ADDQ $(32*tokens), DX \
	ADDQ $(4*tokens), R10 \
	ADDQ $(4*tokens), R11 \
	DECQ CX

#define COLUMNS8(k, weights) \
	VMOVDQU32 (k*64)(SI), weights \
	VPDPBUSD.BCST (k*4)(DX), weights, Z8 \
	VPDPBUSD.BCST (k*4+32)(DX), weights, Z9 \
	VPDPBUSD.BCST (k*4+64)(DX), weights, Z10 \
	VPDPBUSD.BCST (k*4+96)(DX), weights, Z11 \
	VPDPBUSD.BCST (k*4+128)(DX), weights, Z12 \
	VPDPBUSD.BCST (k*4+160)(DX), weights, Z13 \
	VPDPBUSD.BCST (k*4+192)(DX), weights, Z14 \
	VPDPBUSD.BCST (k*4+224)(DX), weights, Z15

// func tile512x8(out *float32, stride int, values *byte, scales *uint16, x *int8, xScales *float32, xSums *int32, blocks int)
TEXT ·tile512x8(SB), NOSPLIT, $0-64
	BEGIN
	VPXORQ Z0, Z0, Z0
	VPXORQ Z1, Z1, Z1
	VPXORQ Z2, Z2, Z2
	VPXORQ Z3, Z3, Z3
	VPXORQ Z4, Z4, Z4
	VPXORQ Z5, Z5, Z5
	VPXORQ Z6, Z6, Z6
	VPXORQ Z7, Z7, Z7

block8:
	VPBROADCASTD 0(R11), Z8
	VPBROADCASTD 4(R11), Z9
	VPBROADCASTD 8(R11), Z10
	VPBROADCASTD 12(R11), Z11
	VPBROADCASTD 16(R11), Z12
	VPBROADCASTD 20(R11), Z13
	VPBROADCASTD 24(R11), Z14
	VPBROADCASTD 28(R11), Z15
	VCVTPH2PS (R9), Z24
	COLUMNS8(0, Z16)
	COLUMNS8(1, Z17)
	COLUMNS8(2, Z18)
	COLUMNS8(3, Z19)
	COLUMNS8(4, Z20)
	COLUMNS8(5, Z21)
	COLUMNS8(6, Z22)
	COLUMNS8(7, Z23)
	FINISH(0, Z8, Z0)
	FINISH(1, Z9, Z1)
	FINISH(2, Z10, Z2)
	FINISH(3, Z11, Z3)
	FINISH(4, Z12, Z4)
	FINISH(5, Z13, Z5)
	FINISH(6, Z14, Z6)
	FINISH(7, Z15, Z7)
	NEXT(8)
	JNZ block8

	LEAQ (R8)(R8*2), R12
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, (DI)(R8*1)
	VMOVUPS Z2, (DI)(R8*2)
	VMOVUPS Z3, (DI)(R12*1)
	LEAQ (DI)(R8*4), DI
	VMOVUPS Z4, (DI)
	VMOVUPS Z5, (DI)(R8*1)
	VMOVUPS Z6, (DI)(R8*2)
	VMOVUPS Z7, (DI)(R12*1)
	VZEROUPPER
	RET

#define COLUMNS4(k, weights) \
	VMOVDQU32 (k*64)(SI), weights \
	VPDPBUSD.BCST (k*4)(DX), weights, Z8 \
	VPDPBUSD.BCST (k*4+32)(DX), weights, Z9 \
	VPDPBUSD.BCST (k*4+64)(DX), weights, Z10 \
	VPDPBUSD.BCST (k*4+96)(DX), weights, Z11

// func tile512x4(out *float32, stride int, values *byte, scales *uint16, x *int8, xScales *float32, xSums *int32, blocks int)
TEXT ·tile512x4(SB), NOSPLIT, $0-64
	BEGIN
	VPXORQ Z0, Z0, Z0
	VPXORQ Z1, Z1, Z1
	VPXORQ Z2, Z2, Z2
	VPXORQ Z3, Z3, Z3

block4:
	VPBROADCASTD 0(R11), Z8
	VPBROADCASTD 4(R11), Z9
	VPBROADCASTD 8(R11), Z10
	VPBROADCASTD 12(R11), Z11
	VCVTPH2PS (R9), Z24
	COLUMNS4(0, Z16)
	COLUMNS4(1, Z17)
	COLUMNS4(2, Z18)
	COLUMNS4(3, Z19)
	COLUMNS4(4, Z20)
	COLUMNS4(5, Z21)
	COLUMNS4(6, Z22)
	COLUMNS4(7, Z23)
	FINISH(0, Z8, Z0)
	FINISH(1, Z9, Z1)
	FINISH(2, Z10, Z2)
	FINISH(3, Z11, Z3)
	NEXT(4)
	JNZ block4

	LEAQ (R8)(R8*2), R12
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, (DI)(R8*1)
	VMOVUPS Z2, (DI)(R8*2)
	VMOVUPS Z3, (DI)(R12*1)
	VZEROUPPER
	RET

#define COLUMNS2(k, weights) \
	VMOVDQU32 (k*64)(SI), weights \
	VPDPBUSD.BCST (k*4)(DX), weights, Z8 \
	VPDPBUSD.BCST (k*4+32)(DX), weights, Z9

// func tile512x2(out *float32, stride int, values *byte, scales *uint16, x *int8, xScales *float32, xSums *int32, blocks int)
TEXT ·tile512x2(SB), NOSPLIT, $0-64
	BEGIN
	VPXORQ Z0, Z0, Z0
	VPXORQ Z1, Z1, Z1

block2:
	VPBROADCASTD 0(R11), Z8
	VPBROADCASTD 4(R11), Z9
	VCVTPH2PS (R9), Z24
	COLUMNS2(0, Z16)
	COLUMNS2(1, Z17)
	COLUMNS2(2, Z18)
	COLUMNS2(3, Z19)
	COLUMNS2(4, Z20)
	COLUMNS2(5, Z21)
	COLUMNS2(6, Z22)
	COLUMNS2(7, Z23)
	FINISH(0, Z8, Z0)
	FINISH(1, Z9, Z1)
	NEXT(2)
	JNZ block2

	VMOVUPS Z0, (DI)
	VMOVUPS Z1, (DI)(R8*1)
	VZEROUPPER
	RET

#define COLUMNS1(k, weights) \
	VMOVDQU32 (k*64)(SI), weights \
	VPDPBUSD.BCST (k*4)(DX), weights, Z8

// func tile512x1(out *float32, stride int, values *byte, scales *uint16, x *int8, xScales *float32, xSums *int32, blocks int)
TEXT ·tile512x1(SB), NOSPLIT, $0-64
	BEGIN
	VPXORQ Z0, Z0, Z0

block1:
	VPBROADCASTD 0(R11), Z8
	VCVTPH2PS (R9), Z24
	COLUMNS1(0, Z16)
	COLUMNS1(1, Z17)
	COLUMNS1(2, Z18)
	COLUMNS1(3, Z19)
	COLUMNS1(4, Z20)
	COLUMNS1(5, Z21)
	COLUMNS1(6, Z22)
	COLUMNS1(7, Z23)
	FINISH(0, Z8, Z0)
	NEXT(1)
	JNZ block1

	VMOVUPS Z0, (DI)
	VZEROUPPER
	RET
