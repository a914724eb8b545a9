/* SPDX-License-Identifier: MIT */
/*
 * Fields of ESR_ELx, stated once for who builds a syndrome and who decodes it. Arm ARM DDI 0487, "ESR_EL1, Exception
 * Syndrome Register". ISS layouts by exception class.
 */
#ifndef PAWL_CPU_SYNDROME_H
#define PAWL_CPU_SYNDROME_H

#include <stdint.h>

#define ESR_EC(esr) ((unsigned)((esr) >> 26) & 0x3f)
#define ESR_IL (1ull << 25)
#define ESR_ISS(esr) ((uint32_t)(esr)&0x1ffffff)
#define ESR_MAKE(ec, iss) ((uint64_t)(ec) << 26 | ESR_IL | (uint64_t)(iss))

enum esr_ec {
	EC_UNKNOWN = 0x00,
	EC_WFX = 0x01,
	EC_FP_ACCESS = 0x07,
	EC_BTI = 0x0d, /* ISS: PSTATE.BTYPE */
	EC_ILLEGAL_STATE = 0x0e,
	EC_SVC64 = 0x15,
	EC_HVC64 = 0x16,
	EC_SMC64 = 0x17,
	EC_SYS64 = 0x18,
	EC_SVE = 0x19,
	EC_FPAC = 0x1c, /* ISS: data key, B key */
	EC_IABT_LOWER = 0x20,
	EC_IABT_CUR = 0x21,
	EC_PC_ALIGN = 0x22,
	EC_DABT_LOWER = 0x24,
	EC_DABT_CUR = 0x25,
	EC_SP_ALIGN = 0x26,
	EC_FP_EXC64 = 0x2c,
	EC_SERROR = 0x2f,
	EC_BREAKPT_LOWER = 0x30,
	EC_BREAKPT_CUR = 0x31,
	EC_STEP_LOWER = 0x32,
	EC_STEP_CUR = 0x33,
	EC_WATCHPT_LOWER = 0x34,
	EC_WATCHPT_CUR = 0x35,
	EC_BKPT32 = 0x38,
	EC_BRK64 = 0x3c
};

/* Data and instruction aborts */
#define ISS_ABT_FSC(iss) ((iss)&0x3fu)
#define ISS_DABT_WNR (1u << 6)
#define ISS_ABT_S1PTW (1u << 7)
#define ISS_DABT_CM (1u << 8)
#define ISS_ABT_EA (1u << 9)
#define ISS_DABT_FNV (1u << 10)
#define ISS_DABT_AR (1u << 14)
#define ISS_DABT_SF (1u << 15)
#define ISS_DABT_SRT(iss) (((iss) >> 16) & 31u)
#define ISS_DABT_SSE (1u << 21)
#define ISS_DABT_SAS(iss) (((iss) >> 22) & 3u)
#define ISS_DABT_ISV (1u << 24)

/* Fault status codes, level in bits 1:0 where there is one */
enum {
	FSC_ADDR_SIZE = 0x00,
	FSC_TRANSLATION = 0x04,
	FSC_ACCESS_FLAG = 0x08,
	FSC_PERMISSION = 0x0c,
	FSC_EXTERNAL = 0x10,
	FSC_EXTERNAL_WALK = 0x14,
	FSC_ALIGNMENT = 0x21,
	FSC_DEBUG = 0x22,
	FSC_NO_LOG =
		0x30, /* implementation defined: at stage 2, a store that cannot be logged now. Never seen by a guest */
	FSC_UNBACKED = 0x34, /* implementation defined: at stage 2, memory that the host lacks. Never seen by a guest */
	FSC_EXCLUSIVE = 0x35
};

/* Trapped MSR, MRS or system instruction (EC 0x18) */
#define ISS_SYS_READ (1u << 0)
#define ISS_SYS_RT(iss) (((iss) >> 5) & 31u)
static inline uint32_t iss_sys(uint32_t enc, unsigned rt, int read)
{
	uint32_t op0 = enc >> 14 & 3, op1 = enc >> 11 & 7, crn = enc >> 7 & 15, crm = enc >> 3 & 15, op2 = enc & 7;

	return op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 | crm << 1 | (read ? 1 : 0);
}
static inline uint32_t iss_sys_enc(uint32_t iss)
{
	return (iss >> 20 & 3) << 14 | (iss >> 14 & 7) << 11 | (iss >> 10 & 15) << 7 | (iss >> 1 & 15) << 3 |
	       (iss >> 17 & 7);
}

/* WFI/WFE (EC 0x01): TI in bits 1:0; with a timeout, the register that holds it */
enum { ISS_WFX_WFI = 0, ISS_WFX_WFE = 1, ISS_WFX_WFIT = 2, ISS_WFX_WFET = 3 };
#define ISS_WFX_TIMEOUT (1u << 1) /* WFIT, WFET */
#define ISS_WFX_RV (1u << 2)	  /* RN is valid */
#define ISS_WFX_RN(iss) (((iss) >> 5) & 31u)

/* SError (EC 0x2f): IDS and ISS, as VSESR_EL2 and DISR_EL1 have them, too */
#define ISS_SERROR 0x1ffffffu
#define ISS_SERROR_IDS (1u << 24) /* IMPLEMENTATION DEFINED syndrome */
#define DISR_A (1u << 31)

/* Software step (EC 0x32) */
#define ISS_STEP_EX (1u << 6)
#define ISS_STEP_ISV (1u << 24)

#endif
