#include "textflag.h"

// A tile of 16 rows times a group of tokens, in two halves of 8 rows, one in each
// 32-bit lane. VPMADDUBSW multiplies unsigned with signed bytes, so the sign of
// each weight is moved to the activation. A pair of products is at most
// 2*128*127 and does not saturate.
//
// SI values, R9 row scales, DX activations, R10 their scales, BX halves left.

#define BEGIN \
	MOVQ out+0(FP), DI \
	MOVQ stride+8(FP), R8 \
	MOVQ values+16(FP), R12 \
	MOVQ scales+24(FP), R13 \
	MOVQ $2, BX \
	VPCMPEQW Y12, Y12, Y12 \
	VPSRLW $15, Y12, Y12 // sixteen times 1

#define BEGINHALF \
	MOVQ R12, SI \
	MOVQ R13, R9 \
	MOVQ x+32(FP), DX \
	MOVQ xScales+40(FP), R10 \
	MOVQ blocks+56(FP), CX

// Adds the products of four columns of 8 rows (Y8, magnitudes Y9) and a token.
#define TOKEN(offset, temporary, whole) \
	VPBROADCASTD offset(DX), temporary \
	VPSIGNB Y8, temporary, temporary \
	VPMADDUBSW temporary, Y9, temporary \
	VPMADDWD Y12, temporary, temporary \
	VPADDD temporary, whole, whole

#define FINISH(t, whole, float) \
	VCVTDQ2PS whole, whole \
	VBROADCASTSS (t*4)(R10), Y10 \
	VMULPS Y10, Y13, Y10 \
	VFMADD231PS Y10, whole, float

#define NEXT(tokens) \
	ADDQ $512, SI \
	ADDQ $32, R9 \
	ADDQ $(32*tokens), DX \
	ADDQ $(4*tokens), R10 \
	DECQ CX

#define ENDHALF \
	ADDQ $32, DI \
	ADDQ $32, R12 \
	ADDQ $16, R13 \
	DECQ BX

#define COLUMNS4(k) \
	VMOVDQU (k*64)(SI), Y8 \
	VPABSB Y8, Y9 \
	TOKEN(k*4, Y10, Y0) \
	TOKEN(k*4+32, Y11, Y1) \
	TOKEN(k*4+64, Y14, Y2) \
	TOKEN(k*4+96, Y15, Y3)

// func tile256x4(out *float32, stride int, values *byte, scales *uint16, x *int8, xScales *float32, xSums *int32, blocks int)
TEXT ·tile256x4(SB), NOSPLIT, $0-64
	BEGIN

half4:
	BEGINHALF
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7

block4:
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VCVTPH2PS (R9), Y13
	COLUMNS4(0)
	COLUMNS4(1)
	COLUMNS4(2)
	COLUMNS4(3)
	COLUMNS4(4)
	COLUMNS4(5)
	COLUMNS4(6)
	COLUMNS4(7)
	FINISH(0, Y0, Y4)
	FINISH(1, Y1, Y5)
	FINISH(2, Y2, Y6)
	FINISH(3, Y3, Y7)
	NEXT(4)
	JNZ block4

	LEAQ (R8)(R8*2), R11
	VMOVUPS Y4, (DI)
	VMOVUPS Y5, (DI)(R8*1)
	VMOVUPS Y6, (DI)(R8*2)
	VMOVUPS Y7, (DI)(R11*1)
	ENDHALF
	JNZ half4
	VZEROUPPER
	RET

#define COLUMNS1(k) \
	VMOVDQU (k*64)(SI), Y8 \
	VPABSB Y8, Y9 \
	TOKEN(k*4, Y10, Y0)

// func tile256x1(out *float32, stride int, values *byte, scales *uint16, x *int8, xScales *float32, xSums *int32, blocks int)
TEXT ·tile256x1(SB), NOSPLIT, $0-64
	BEGIN

half1:
	BEGINHALF
	VPXOR Y4, Y4, Y4

block1:
	VPXOR Y0, Y0, Y0
	VCVTPH2PS (R9), Y13
	COLUMNS1(0)
	COLUMNS1(1)
	COLUMNS1(2)
	COLUMNS1(3)
	COLUMNS1(4)
	COLUMNS1(5)
	COLUMNS1(6)
	COLUMNS1(7)
	FINISH(0, Y0, Y4)
	NEXT(1)
	JNZ block1

	VMOVUPS Y4, (DI)
	ENDHALF
	JNZ half1
	VZEROUPPER
	RET
