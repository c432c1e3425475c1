#include "textflag.h"

// Adds up the lanes of Y into the lowest lane of X, its lower half.
#define ADDLANES(Y, X, temporary) \
	VEXTRACTF128 $1, Y, temporary \
	VADDPS temporary, X, X \
	VHADDPS X, X, X \
	VHADDPS X, X, X

// func squaresBy8(x *float32, count int) float32
// count is a multiple of 8.
TEXT ·squaresBy8(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ count+8(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	SUBQ $16, CX
	JLT last

squares:
	VMOVUPS (SI), Y2
	VMOVUPS 32(SI), Y3
	VFMADD231PS Y2, Y2, Y0
	VFMADD231PS Y3, Y3, Y1
	ADDQ $64, SI
	SUBQ $16, CX
	JGE squares

last:
	ADDQ $16, CX
	JZ sum
	VMOVUPS (SI), Y2
	VFMADD231PS Y2, Y2, Y0

sum:
	VADDPS Y1, Y0, Y0
	ADDLANES(Y0, X0, X1)
	VMOVSS X0, ret+16(FP)
	VZEROUPPER
	RET

// func scaleBy8(out, x, weight *float32, count int, scale float32)
// count is a multiple of 8.
TEXT ·scaleBy8(SB), NOSPLIT, $0-36
	MOVQ out+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ weight+16(FP), DX
	MOVQ count+24(FP), CX
	VBROADCASTSS scale+32(FP), Y0

scales:
	VMULPS (SI), Y0, Y1
	VMULPS (DX), Y1, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ scales
	VZEROUPPER
	RET

// func addBy8(out, x *float32, count int)
// count is a multiple of 8.
TEXT ·addBy8(SB), NOSPLIT, $0-24
	MOVQ out+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ count+16(FP), CX

adds:
	VMOVUPS (DI), Y0
	VADDPS (SI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ adds
	VZEROUPPER
	RET

DATA order<>+0(SB)/4, $0
DATA order<>+4(SB)/4, $4
DATA order<>+8(SB)/4, $1
DATA order<>+12(SB)/4, $5
DATA order<>+16(SB)/4, $2
DATA order<>+20(SB)/4, $6
DATA order<>+24(SB)/4, $3
DATA order<>+28(SB)/4, $7
GLOBL order<>(SB), RODATA|NOPTR, $32

DATA numbers<>+0(SB)/4, $0x42fe0000  // 127
DATA numbers<>+4(SB)/4, $0x0da24260  // 1e-30
DATA numbers<>+8(SB)/4, $0x7fffffff  // all but the sign
DATA numbers<>+12(SB)/4, $0x01010101 // four bytes of 1
GLOBL numbers<>(SB), RODATA|NOPTR, $16

// func quantiseBlocks(values *int8, scales *float32, sums *int32, step int, x *float32, blocks int)
// As kernels.quantise.
TEXT ·quantiseBlocks(SB), NOSPLIT, $0-48
	MOVQ values+0(FP), DI
	MOVQ scales+8(FP), R8
	MOVQ sums+16(FP), R9
	MOVQ step+24(FP), R10
	MOVQ x+32(FP), SI
	MOVQ blocks+40(FP), CX
	VBROADCASTSS numbers<>+8(SB), Y15
	VMOVSS numbers<>+0(SB), X14
	VMOVSS numbers<>+4(SB), X13
	VPBROADCASTD numbers<>+12(SB), Y12
	VMOVDQU order<>(SB), Y11
	VPCMPEQW Y10, Y10, Y10
	VPSRLW $15, Y10, Y10
	MOVQ R10, R11
	SHLQ $5, R11 // bytes of values from block to block
	SHLQ $2, R10 // bytes of scales and sums

quantise:
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	VMOVUPS 64(SI), Y2
	VMOVUPS 96(SI), Y3
	VANDPS Y15, Y0, Y4
	VANDPS Y15, Y1, Y5
	VANDPS Y15, Y2, Y6
	VANDPS Y15, Y3, Y7
	VMAXPS Y5, Y4, Y4
	VMAXPS Y7, Y6, Y6
	VMAXPS Y6, Y4, Y4
	VEXTRACTF128 $1, Y4, X5
	VMAXPS X5, X4, X4
	VPERMILPS $0x4e, X4, X5
	VMAXPS X5, X4, X4
	VPERMILPS $0xb1, X4, X5
	VMAXPS X5, X4, X4

	// A largest value below 1e-30 becomes a scale of zero and zeros.
	VCMPSS $0x0d, X13, X4, X6 // all ones if the largest is 1e-30 or more
	VDIVSS X14, X4, X5
	VANDPS X6, X5, X5
	VMOVSS X5, (R8)
	VDIVSS X4, X14, X5
	VANDPS X6, X5, X5
	VBROADCASTSS X5, Y5
	VMULPS Y5, Y0, Y0
	VMULPS Y5, Y1, Y1
	VMULPS Y5, Y2, Y2
	VMULPS Y5, Y3, Y3
	VCVTPS2DQ Y0, Y0
	VCVTPS2DQ Y1, Y1
	VCVTPS2DQ Y2, Y2
	VCVTPS2DQ Y3, Y3
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKSSWB Y2, Y0, Y0
	VPERMD Y0, Y11, Y0 // the packs work within halves of the register
	VMOVDQU Y0, (DI)

	VPMADDUBSW Y0, Y12, Y1
	VPMADDWD Y10, Y1, Y1
	VEXTRACTI128 $1, Y1, X2
	VPADDD X2, X1, X1
	VPHADDD X1, X1, X1
	VPHADDD X1, X1, X1
	VMOVD X1, AX
	SHLL $7, AX
	NEGL AX
	MOVL AX, (R9)

	ADDQ $128, SI
	ADDQ R11, DI
	ADDQ R10, R8
	ADDQ R10, R9
	DECQ CX
	JNZ quantise
	VZEROUPPER
	RET
