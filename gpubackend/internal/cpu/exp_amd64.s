#include "textflag.h"

// Constants, each eight times over.
#define EIGHT(at, bits) \
	DATA exps<>+(at+0)(SB)/4, $bits \
	DATA exps<>+(at+4)(SB)/4, $bits \
	DATA exps<>+(at+8)(SB)/4, $bits \
	DATA exps<>+(at+12)(SB)/4, $bits \
	DATA exps<>+(at+16)(SB)/4, $bits \
	DATA exps<>+(at+20)(SB)/4, $bits \
	DATA exps<>+(at+24)(SB)/4, $bits \
	DATA exps<>+(at+28)(SB)/4, $bits

EIGHT(0, 0xc2ae0000)   // -87: below, the result would be subnormal
EIGHT(32, 0x42b00000)  // 88: above, infinite
EIGHT(64, 0x3fb8aa3b)  // 1/ln 2
EIGHT(96, 0x3f317218)  // ln 2, rounded
EIGHT(128, 0xb102e308) // what the rounding left
EIGHT(160, 0x39500d01) // 1/7!
EIGHT(192, 0x3ab60b61) // 1/6!
EIGHT(224, 0x3c088889) // 1/5!
EIGHT(256, 0x3d2aaaab) // 1/4!
EIGHT(288, 0x3e2aaaab) // 1/3!
EIGHT(320, 0x3f000000) // 1/2!
EIGHT(352, 0x3f800000) // 1
EIGHT(384, 0x80000000) // the sign bit
GLOBL exps<>(SB), RODATA|NOPTR, $416

// EXP replaces Y0 by its exponential, with Y1 and Y2 as scratch:
// x = n*ln 2 + r with |r| <= ln 2 / 2, and e^x = 2^n * e^r by Taylor's series,
// whose remainder after seven terms is below 6e-9. 2^n is made in the exponent
// bits: n << 23 is added to the bits of e^r.
#define EXP \
	VMAXPS exps<>+0(SB), Y0, Y0 \
	VMINPS exps<>+32(SB), Y0, Y0 \
	VMULPS exps<>+64(SB), Y0, Y1 \
	VROUNDPS $0, Y1, Y1 \
	VFNMADD231PS exps<>+96(SB), Y1, Y0 \
	VFNMADD231PS exps<>+128(SB), Y1, Y0 \
	VMOVUPS exps<>+160(SB), Y2 \
	VFMADD213PS exps<>+192(SB), Y0, Y2 \
	VFMADD213PS exps<>+224(SB), Y0, Y2 \
	VFMADD213PS exps<>+256(SB), Y0, Y2 \
	VFMADD213PS exps<>+288(SB), Y0, Y2 \
	VFMADD213PS exps<>+320(SB), Y0, Y2 \
	VFMADD213PS exps<>+352(SB), Y0, Y2 \
	VFMADD213PS exps<>+352(SB), Y0, Y2 \
	VCVTPS2DQ Y1, Y1 \
	VPSLLD $23, Y1, Y1 \
	VPADDD Y1, Y2, Y0

// func gateBy8(out, gate, up *float32, count int)
// count is a multiple of 8.
TEXT ·gateBy8(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ gate+8(FP), SI
	MOVQ up+16(FP), DX
	MOVQ count+24(FP), CX

gates:
	VMOVUPS (SI), Y3
	VXORPS exps<>+384(SB), Y3, Y0
	EXP
	VADDPS exps<>+352(SB), Y0, Y0
	VDIVPS Y0, Y3, Y3
	VMULPS (DX), Y3, Y3
	VMOVUPS Y3, (DI)
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ gates
	VZEROUPPER
	RET

// func softmaxBy8(x *float32, count int)
// count is a multiple of 8.
TEXT ·softmaxBy8(SB), NOSPLIT, $0-16
	MOVQ x+0(FP), SI
	MOVQ count+8(FP), CX
	VMOVUPS (SI), Y3
	MOVQ SI, DI
	MOVQ CX, BX

largest:
	VMAXPS (DI), Y3, Y3
	ADDQ $32, DI
	SUBQ $8, BX
	JNZ largest
	VEXTRACTF128 $1, Y3, X4
	VMAXPS X4, X3, X3
	VPERMILPS $0x4e, X3, X4
	VMAXPS X4, X3, X3
	VPERMILPS $0xb1, X3, X4
	VMAXPS X4, X3, X3
	VBROADCASTSS X3, Y3

	VXORPS Y4, Y4, Y4
	MOVQ SI, DI
	MOVQ CX, BX

exponentials:
	VMOVUPS (DI), Y0
	VSUBPS Y3, Y0, Y0
	EXP
	VADDPS Y0, Y4, Y4
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	SUBQ $8, BX
	JNZ exponentials
	VEXTRACTF128 $1, Y4, X5
	VADDPS X5, X4, X4
	VHADDPS X4, X4, X4
	VHADDPS X4, X4, X4
	VBROADCASTSS X4, Y4
	VMOVUPS exps<>+352(SB), Y5
	VDIVPS Y4, Y5, Y4

scale:
	VMULPS (SI), Y4, Y0
	VMOVUPS Y0, (SI)
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ scale
	VZEROUPPER
	RET
