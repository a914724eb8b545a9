/* SPDX-License-Identifier: MIT */
/**
 * @file ptrace.h
 * The arm64 register sets that the KVM interface borrows from ptrace, and the SVE sizes, on any host.
 *
 * An arm64 host has them in <asm/ptrace.h> and <asm/sve_context.h>, and then those are used. Other hosts have an
 * <asm/ptrace.h> of their own, with other names in it; the two can be included side by side. Bits of PSTATE:
 * Arm ARM DDI 0487, "SPSR_EL1, Saved Program Status Register". Nothing here is for tracing a process.
 */
#ifndef PAWL_PTRACE_H
#define PAWL_PTRACE_H

#include <linux/types.h>

#if defined(__aarch64__)

#include <asm/ptrace.h>
#include <asm/sve_context.h>

#else

/* PSTATE: mode (M[4:0]) */
#define PSR_MODE_EL0t 0x00000000
#define PSR_MODE_EL1t 0x00000004
#define PSR_MODE_EL1h 0x00000005
#define PSR_MODE_EL2t 0x00000008
#define PSR_MODE_EL2h 0x00000009
#define PSR_MODE_EL3t 0x0000000c
#define PSR_MODE_EL3h 0x0000000d
#define PSR_MODE_MASK 0x0000000f
#define PSR_MODE32_BIT 0x00000010

/* PSTATE: masks and flags */
#define PSR_F_BIT 0x00000040
#define PSR_I_BIT 0x00000080
#define PSR_A_BIT 0x00000100
#define PSR_D_BIT 0x00000200
#define PSR_BTYPE_SHIFT 10
#define PSR_BTYPE_MASK 0x00000c00
#define PSR_BTYPE_NONE (0 << PSR_BTYPE_SHIFT)
#define PSR_BTYPE_JC (1 << PSR_BTYPE_SHIFT)
#define PSR_BTYPE_C (2 << PSR_BTYPE_SHIFT)
#define PSR_BTYPE_J (3 << PSR_BTYPE_SHIFT)
#define PSR_SSBS_BIT 0x00001000
#define PSR_PAN_BIT 0x00400000
#define PSR_UAO_BIT 0x00800000
#define PSR_DIT_BIT 0x01000000
#define PSR_TCO_BIT 0x02000000
#define PSR_V_BIT 0x10000000
#define PSR_C_BIT 0x20000000
#define PSR_Z_BIT 0x40000000
#define PSR_N_BIT 0x80000000

/* PSTATE: the four bytes that an MSR to an AArch32 PSR names */
#define PSR_f 0xff000000
#define PSR_s 0x00ff0000
#define PSR_x 0x0000ff00
#define PSR_c 0x000000ff

struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};

struct user_fpsimd_state {
	__uint128_t vregs[32];
	__u32 fpsr;
	__u32 fpcr;
	__u32 __reserved[2];
};

/* SVE: a vector length is vq quadwords */
#define __SVE_VQ_BYTES 16
#define __SVE_VQ_MIN 1
#define __SVE_VQ_MAX 512
#define __SVE_VL_MIN (__SVE_VQ_MIN * __SVE_VQ_BYTES)
#define __SVE_VL_MAX (__SVE_VQ_MAX * __SVE_VQ_BYTES)
#define __SVE_NUM_ZREGS 32
#define __SVE_NUM_PREGS 16

#define __sve_vq_from_vl(vl) ((vl) / __SVE_VQ_BYTES)
#define __sve_vl_from_vq(vq) ((vq)*__SVE_VQ_BYTES)
#define __sve_vl_valid(vl) ((vl) >= __SVE_VL_MIN && (vl) <= __SVE_VL_MAX && (vl) % __SVE_VQ_BYTES == 0)

/* The image of Z0..Z31, P0..P15 and FFR, in bytes from its start */
#define __SVE_ZREG_SIZE(vq) (__SVE_VQ_BYTES * (__u32)(vq))
#define __SVE_PREG_SIZE(vq) (__SVE_VQ_BYTES / 8 * (__u32)(vq))
#define __SVE_FFR_SIZE(vq) __SVE_PREG_SIZE(vq)
#define __SVE_ZREGS_OFFSET 0
#define __SVE_ZREG_OFFSET(vq, n) (__SVE_ZREGS_OFFSET + (n)*__SVE_ZREG_SIZE(vq))
#define __SVE_ZREGS_SIZE(vq) (__SVE_NUM_ZREGS * __SVE_ZREG_SIZE(vq))
#define __SVE_PREGS_OFFSET(vq) (__SVE_ZREGS_OFFSET + __SVE_ZREGS_SIZE(vq))
#define __SVE_PREG_OFFSET(vq, n) (__SVE_PREGS_OFFSET(vq) + (n)*__SVE_PREG_SIZE(vq))
#define __SVE_PREGS_SIZE(vq) (__SVE_NUM_PREGS * __SVE_PREG_SIZE(vq))
#define __SVE_FFR_OFFSET(vq) (__SVE_PREGS_OFFSET(vq) + __SVE_PREGS_SIZE(vq))

#endif
#endif
