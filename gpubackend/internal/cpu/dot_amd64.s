#include "textflag.h"

// One row of floats times one or four tokens, 16 columns a round, with two sums
// a token. Both kernels add in the same order. count is a multiple of 16.

#define ADDLANES(Y, X, temporary) \
	VEXTRACTF128 $1, Y, temporary \
	VADDPS temporary, X, X \
	VHADDPS X, X, X \
	VHADDPS X, X, X

// Load 16 weights into Y8 and Y9.
#define LOADF32 \
	VMOVUPS (SI), Y8 \
	VMOVUPS 32(SI), Y9 \
	ADDQ $64, SI

#define LOADF16 \
	VCVTPH2PS (SI), Y8 \
	VCVTPH2PS 16(SI), Y9 \
	ADDQ $32, SI

#define LOADBF16 \
	VPMOVZXWD (SI), Y8 \
	VPMOVZXWD 16(SI), Y9 \
	VPSLLD $16, Y8, Y8 \
	VPSLLD $16, Y9, Y9 \
	ADDQ $32, SI

#define BEGIN \
	MOVQ out+0(FP), DI \
	MOVQ stride+8(FP), R8 \
	MOVQ row+16(FP), SI \
	MOVQ x+24(FP), DX \
	MOVQ apart+32(FP), R9 \
	MOVQ count+40(FP), CX \
	LEAQ (R9)(R9*2), R10 \
	LEAQ (R8)(R8*2), R11 \
	VXORPS Y0, Y0, Y0 \
	VXORPS Y1, Y1, Y1

#define CLEAR6 \
	VXORPS Y2, Y2, Y2 \
	VXORPS Y3, Y3, Y3 \
	VXORPS Y4, Y4, Y4 \
	VXORPS Y5, Y5, Y5 \
	VXORPS Y6, Y6, Y6 \
	VXORPS Y7, Y7, Y7

#define TOKEN1 \
	VFMADD231PS (DX), Y8, Y0 \
	VFMADD231PS 32(DX), Y9, Y1

#define TOKENS4 \
	TOKEN1 \
	VFMADD231PS (DX)(R9*1), Y8, Y2 \
	VFMADD231PS 32(DX)(R9*1), Y9, Y3 \
	VFMADD231PS (DX)(R9*2), Y8, Y4 \
	VFMADD231PS 32(DX)(R9*2), Y9, Y5 \
	VFMADD231PS (DX)(R10*1), Y8, Y6 \
	VFMADD231PS 32(DX)(R10*1), Y9, Y7

#define END1 \
	VADDPS Y1, Y0, Y0 \
	ADDLANES(Y0, X0, X1) \
	VMOVSS X0, (DI) \
	VZEROUPPER

#define END4 \
	VADDPS Y3, Y2, Y2 \
	ADDLANES(Y2, X2, X3) \
	VMOVSS X2, (DI)(R8*1) \
	VADDPS Y5, Y4, Y4 \
	ADDLANES(Y4, X4, X5) \
	VMOVSS X4, (DI)(R8*2) \
	VADDPS Y7, Y6, Y6 \
	ADDLANES(Y6, X6, X7) \
	VMOVSS X6, (DI)(R11*1) \
	END1

// func dotF32x4(out *float32, stride int, row *byte, x *float32, apart, count int)
TEXT ·dotF32x4(SB), NOSPLIT, $0-48
	BEGIN
	CLEAR6

round:
	LOADF32
	TOKENS4
	ADDQ $64, DX
	SUBQ $16, CX
	JNZ round
	END4
	RET

// func dotF32x1(out *float32, stride int, row *byte, x *float32, apart, count int)
TEXT ·dotF32x1(SB), NOSPLIT, $0-48
	BEGIN

round:
	LOADF32
	TOKEN1
	ADDQ $64, DX
	SUBQ $16, CX
	JNZ round
	END1
	RET

// func dotF16x4(out *float32, stride int, row *byte, x *float32, apart, count int)
TEXT ·dotF16x4(SB), NOSPLIT, $0-48
	BEGIN
	CLEAR6

round:
	LOADF16
	TOKENS4
	ADDQ $64, DX
	SUBQ $16, CX
	JNZ round
	END4
	RET

// func dotF16x1(out *float32, stride int, row *byte, x *float32, apart, count int)
TEXT ·dotF16x1(SB), NOSPLIT, $0-48
	BEGIN

round:
	LOADF16
	TOKEN1
	ADDQ $64, DX
	SUBQ $16, CX
	JNZ round
	END1
	RET

// func dotBF16x4(out *float32, stride int, row *byte, x *float32, apart, count int)
TEXT ·dotBF16x4(SB), NOSPLIT, $0-48
	BEGIN
	CLEAR6

round:
	LOADBF16
	TOKENS4
	ADDQ $64, DX
	SUBQ $16, CX
	JNZ round
	END4
	RET

// func dotBF16x1(out *float32, stride int, row *byte, x *float32, apart, count int)
TEXT ·dotBF16x1(SB), NOSPLIT, $0-48
	BEGIN

round:
	LOADBF16
	TOKEN1
	ADDQ $64, DX
	SUBQ $16, CX
	JNZ round
	END1
	RET
