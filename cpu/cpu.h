/* SPDX-License-Identifier: MIT */
/*
 * A processing element: EL0 and EL1 of an Armv8-A core with its MMU, debug logic and generic timer, and the edge to
 * EL2. Implements the Arm Architecture Reference Manual; knows nothing of KVM.
 *
 * The hypervisor's side of the edge: set the registers and the EL2 controls, call cpu_run(), look at the syndrome.
 */
#ifndef PAWL_CPU_H
#define PAWL_CPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "env.h"
#include "stage2.h"

struct cpu;
struct cpu_group;

/* System registers as KVM numbers them: op0<<14 | op1<<11 | CRn<<7 | CRm<<3 | op2. */
#define SYSREG(op0, op1, crn, crm, op2) ((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))

/* Storage for the registers that a PE owns; cpu/sysreg.c has a row for each. SP_EL0/SP_EL1: see cpu_sp(). */
enum cpu_sys {
	CPU_SCTLR_EL1,
	CPU_ACTLR_EL1,
	CPU_CPACR_EL1,
	CPU_TTBR0_EL1,
	CPU_TTBR1_EL1,
	CPU_TCR_EL1,
	CPU_ESR_EL1,
	CPU_AFSR0_EL1,
	CPU_AFSR1_EL1,
	CPU_FAR_EL1,
	CPU_PAR_EL1,
	CPU_MAIR_EL1,
	CPU_AMAIR_EL1,
	CPU_VBAR_EL1,
	CPU_DISR_EL1,
	CPU_CONTEXTIDR_EL1,
	CPU_TPIDR_EL1,
	CPU_TPIDR_EL0,
	CPU_TPIDRRO_EL0,
	CPU_CNTKCTL_EL1,
	CPU_CSSELR_EL1,
	CPU_MDCCINT_EL1,
	CPU_MDSCR_EL1,
	CPU_OSLSR_EL1,
	CPU_ELR_EL1,
	CPU_SPSR_EL1,
	CPU_SPSR_ABT,
	CPU_SPSR_UND,
	CPU_SPSR_IRQ,
	CPU_SPSR_FIQ,
	CPU_MPIDR_EL1,
	CPU_MIDR_EL1,
	CPU_REVIDR_EL1,
	CPU_AIDR_EL1,
	CPU_CTR_EL0,
	CPU_CLIDR_EL1,
	CPU_DCZID_EL0,
	CPU_APIAKEYLO_EL1, /* in the order of enum ir_pauth_key */
	CPU_APIAKEYHI_EL1,
	CPU_APIBKEYLO_EL1,
	CPU_APIBKEYHI_EL1,
	CPU_APDAKEYLO_EL1,
	CPU_APDAKEYHI_EL1,
	CPU_APDBKEYLO_EL1,
	CPU_APDBKEYHI_EL1,
	CPU_APGAKEYLO_EL1,
	CPU_APGAKEYHI_EL1,
	CPU_DACR32_EL2,
	CPU_IFSR32_EL2,
	CPU_FPEXC32_EL2,
	CPU_DBGVCR32_EL2,
	CPU_SYS_COUNT
};

/* ID registers 3,0,0,CRm 1..7,op2 0..7 are held as a table, index (CRm - 1) * 8 + op2. */
enum { CPU_ID_COUNT = 56 };
#define CPU_ID(crm, op2) (((crm)-1) * 8 + (op2))

/*
 * A model: identification, from which the features follow (model.c has the table). Models have names; what a client
 * sets in the ID registers of a VM makes another.
 */
struct cpu_model {
	uint64_t midr, ctr, clidr, dczid;
	uint64_t id[CPU_ID_COUNT];
};
/*
 * The model that text names: NAME, then any number of ",+FEATURE" and ",-FEATURE". 0, or -EINVAL and a sentence in why
 * that says what is wrong.
 */
int cpu_model_parse(const char *text, struct cpu_model *m, char *why, size_t len);
bool cpu_model_has_pauth(const struct cpu_model *m);
/* For listings: the i-th model's name and what it is, the i-th switch's name; NULL behind the last one. */
const char *cpu_model_name(unsigned i, const char **what);
const char *cpu_model_switch(unsigned i);

struct cpu_dbg_regs { /* as in DBGBVR<n>_EL1 and so on */
	uint64_t bvr[16], bcr[16], wvr[16], wcr[16];
};

/* PSTATE and SPSR bits, SPSR layout. */
#define PSR_MODE 0x1fu
#define PSR_EL0T 0x0u
#define PSR_EL1T 0x4u
#define PSR_EL1H 0x5u
#define PSR_NRW (1u << 4)
#define PSR_F (1u << 6)
#define PSR_I (1u << 7)
#define PSR_A (1u << 8)
#define PSR_D (1u << 9)
#define PSR_BTYPE (3u << 10)
#define PSR_SSBS (1u << 12)
#define PSR_IL (1u << 20)
#define PSR_SS (1u << 21)
#define PSR_PAN (1u << 22)
#define PSR_UAO (1u << 23)
#define PSR_DIT (1u << 24)
#define PSR_NZCV 0xf0000000u

/* Interrupt inputs (HCR_EL2.VI, VF, VSE): bits of cpu->irq_in. */
#define CPU_IRQ 1u
#define CPU_FIQ 2u
#define CPU_SERROR 4u

enum cpu_exit {
	CPU_EXIT_KICK, /* env.kick was set (it has been cleared): look at requests. Nothing is lost or half done */
	CPU_EXIT_TRAP, /* exception to EL2: cpu->el2.esr, .far, .hpfar; PC is the preferred return address of that exception */
};

/*
 * What the PE calls out for, in the words of the hardware: the virtual GIC CPU interface and the system counter.
 * All run on the PE's thread inside cpu_run(), except where said. NULL functions: the registers are UNDEFINED.
 */
struct cpu_platform {
	/* ICC_* (not ICC_SGI*R: those trap to EL2; ICC_SRE_EL1 reads 7 when icc_read is there). 0, or -ENOENT: UNDEFINED. */
	int (*icc_read)(void *opaque, uint32_t enc, uint64_t *val);
	int (*icc_write)(void *opaque, uint32_t enc, uint64_t val);
	/* RNDR, RNDRRS: 64 random bits. False, or NULL: there are none now. */
	bool (*random)(void *opaque, uint64_t *val);
	/* The guest changed a timer's CTL or CVAL: recompute cpu_timer_line() and the next deadline. */
	void (*timer_changed)(void *opaque);
	/*
	 * A page of a range with a log_tag is about to be stored to for the first time since its dirty bit, which is set
	 * already, was clear. page: 4 KiB pages from the range's base. False: do not; the access is a fault with FSC_NO_LOG.
	 */
	bool (*log_dirty)(void *opaque, unsigned log_tag, uint64_t page);
	/*
	 * An access to stage2.device, which hardware makes without the hypervisor: one call for each element of a pair or vector, of
	 * 8 bytes at most, aligned. data: little endian. Called from inside of cpu_run.
	 */
	void (*device)(void *opaque, ipa_t ipa, unsigned len, bool write, uint64_t *data);
};

struct cpu_timer { /* generic timer as EL1 and EL0 see it; n = CPU_TIMER_V or _P */
	uint64_t cval;
	uint32_t ctl; /* ENABLE, IMASK; ISTATUS is computed */
};
enum { CPU_TIMER_V, CPU_TIMER_P, CPU_TIMER_COUNT };

/* What a performance monitor wants to know (count.c), index 0 for EL0 and 1 for EL1. Between two cpu_run calls the hypervisor's. */
struct cpu_count {
	bool cycles, insns;  /* what is counted from the next cpu_run on */
	uint64_t cycle[2];   /* time in the guest, in ticks of the system counter */
	uint64_t insn[2];    /* instructions executed by the PE */
	uint64_t insns_left; /* after so many more cpu_run returns CPU_EXIT_KICK; 0: does not matter */
	uint64_t since;	     /* count.c */
};

/*
 * What a PE tells of its work: counters, written by its thread alone, each away from what is hot. Guest accesses that an
 * extent settles, and units that go on to others by themselves, are not seen.
 */
enum cpu_stat {
	/* translation */
	CPU_STAT_UNITS,
	CPU_STAT_UNIT_INSNS,  /* guest instructions in them */
	CPU_STAT_UNIT_BYTES,  /* of host code */
	CPU_STAT_UNITS_AGAIN, /* that were made once more, since they are hot */
	CPU_STAT_TRACES,      /* ... of several blocks */
	CPU_STAT_ONCE,	      /* blocks that were met for the first time, and interpreted */
	CPU_STAT_BLOCKS,      /* that were made and are interpreted */
	CPU_STAT_TIMED_NS,    /* spent on making units and blocks since cpu->stat_time is set */
	CPU_STAT_TIMED_INSNS,
	CPU_STAT_CODE_NOW,   /* bytes: host code that is held */
	CPU_STAT_BLOCKS_NOW, /* bytes: blocks that are held */
	CPU_STAT_CODE_DROPS, /* times that all of it went, since it was full */
	CPU_STAT_CODE_STALE, /* blocks whose words had changed */
	CPU_STAT_LOOKUPS,    /* look-ups that the jump cache did not answer */
	CPU_STAT_LINKS,
	/* translated code: entered, and left for what reason */
	CPU_STAT_ENTERED,
	CPU_STAT_LEFT_LINK,   /* at a site without a link */
	CPU_STAT_LEFT_LOOKUP, /* where the jump cache did not know the way, or code does not go by itself */
	CPU_STAT_LEFT_ATTN,   /* kick, interrupt, change of regime, step */
	CPU_STAT_LEFT_TRAP,   /* an exception in the middle of a unit */
	CPU_STAT_LEFT_EXIT,   /* an instruction that makes an exception, ERET, WFx */
	/* accesses that missed their extent */
	CPU_STAT_EXTENT_HIT, /* accesses that did not; counted only with PAWL_COUNT_ACCESSES; as up to date as the next */
	CPU_STAT_TLB_HIT,    /* the soft TLB had it, asked by code; up to date when cpu_run has returned */
	CPU_STAT_TLB_HIT_C, /* ... asked by C, where it did not see that by itself: alignment checked, Device memory, watched pages */
	CPU_STAT_TLB_SHARED, /* the kernel half, left by another address space */
	CPU_STAT_TLB_WALK,
	CPU_STAT_FETCH_HIT,
	CPU_STAT_FETCH_WALK,
	CPU_STAT_FLUSH_ALL,
	CPU_STAT_FLUSH_ASID,
	CPU_STAT_FLUSH_VA,
	CPU_STAT_NEW_SPACE, /* address spaces that had to begin empty */
	/* exceptions taken to EL1, by ESR_ELx.EC; interrupts: IRQ, FIQ, SError */
	CPU_STAT_EL1_IRQ,
	CPU_STAT_EL1_EC = CPU_STAT_EL1_IRQ + 3,
	CPU_STAT_COUNT = CPU_STAT_EL1_EC + 64
};

/*
 * window.c: an access that the hypervisor is asked to make, since it is outside of memory and a syndrome could not describe it.
 * With window.on, cpu_run returns for such an instruction as for the abort that it is, and window.request says: make the last
 * one of access[], set its data if it is a read, set done, and go on. No interrupt is taken before the instruction is complete.
 */
enum { CPU_WINDOW_MAX = 80 };
struct cpu_access {
	ipa_t ipa;
	uint64_t data; /* little endian */
	uint8_t len;   /* bytes: 1, 2, 4, 8 */
	bool is_write, done;
};
struct cpu_window {
	bool on; /* set by the hypervisor */
	bool request;
	unsigned n, next; /* accesses that were made or asked for; window.c */
	uint64_t pc;
	struct cpu_access access[CPU_WINDOW_MAX];
};

/* Breakpoints by address: no hardware has so many comparators. */
struct cpu_breaks {
	uint64_t id; /* no two lists of a PE have the same one; not 0 */
	size_t n;
	uint64_t va[]; /* bits 55:2, in ascending order */
};

struct cpu {
	struct ir_env env; /* first member */

	/* PE thread only, or the hypervisor while it holds the vcpu (outside cpu_run) */
	uint32_t pstate; /* all but NZCV; bit 21 is the live PSTATE.SS */
	uint64_t sys[CPU_SYS_COUNT];
	uint64_t id[CPU_ID_COUNT]; /* what the guest reads in the ID space */
	uint64_t features;	   /* enum isa_feature set; follows from id: cpu_id_changed() */
	uint64_t sp_bank[2];	   /* SP_EL0, SP_EL1; the current one lives in env.x[31] */
	struct cpu_dbg_regs dbg;   /* the guest's own */
	struct cpu_timer timer[CPU_TIMER_COUNT];
	struct cpu_count count;
	struct cpu_window window;
	uint64_t *stat; /* enum cpu_stat: own_stat, until the hypervisor has another place */
	uint64_t own_stat[CPU_STAT_COUNT];
	bool stat_time; /* two looks at the clock for each block made */

	/* Translated code keeps env.insn_count exact, which costs it some speed; interpreted code always does. Before cpu_run. */
	bool count_insns;

	/* EL2 controls: set by the hypervisor before cpu_run */
	struct {
		bool tde;	   /* MDCR_EL2.TDE: debug exceptions and debug register accesses of EL0/1 go to EL2 */
		bool twi, twe;	   /* HCR_EL2.TWI, TWE */
		bool hold_irqs;	   /* nothing in irq_in is taken: no control of the hardware's, a debugger's wish */
		bool keep_monitor; /* cpu_run leaves the exclusive monitor alone; hardware's exception return clears it */
		uint64_t mdscr;	   /* effective MDSCR_EL1 (SS, MDE, KDE): the guest's unless the host owns debug */
		const struct cpu_dbg_regs *dbg; /* live breakpoints and watchpoints: &cpu->dbg or the host's */
		const struct cpu_breaks
			*breaks; /* as breakpoint comparators for EL0 and EL1, while MDSCR_EL1.MDE; or NULL */
		bool tpm;	 /* PMU registers trap (always true in a KVM guest) */
		uint64_t
			vsesr; /* VSESR_EL2: ISS of a virtual SError (CPU_SERROR in irq_in; taking it clears that bit) */
		/* out: syndrome of CPU_EXIT_TRAP, architected encodings */
		uint64_t esr, far, hpfar;
		ipa_t ipa;	   /* HPFAR page | offset of FAR: the faulting IPA in full */
		unsigned s1_level; /* with ESR.S1PTW: level of the stage 1 table that could not be read */
	} el2;

	/* atomic, any thread; after a change: cpu_kick() */
	_Atomic uint32_t irq_in;

	/* set at creation */
	struct cpu_group *group;
	const struct cpu_platform *platform;
	void *opaque;

	struct cpu_priv *priv; /* TLBs, jump cache, builder, ...: cpu/ only */
};

/*
 * The PEs of one VM: one inner shareable domain, one stage 2, one system counter, one code cache.
 */
struct cpu_group *cpu_group_new(void);	  /* NULL: out of memory */
void cpu_group_free(struct cpu_group *g); /* after its PEs */
/*
 * Publish a new stage 2 (owned by the caller, kept until replaced): stops all PEs at a block boundary, flushes their
 * TLBs, resumes them. On return no PE uses the old one. Any thread that is not a PE inside cpu_run.
 */
void cpu_group_set_stage2(struct cpu_group *g, const struct stage2 *s2);
/* The same stop without a new table: after clearing dirty bits, so that the next store to a page is seen again. */
void cpu_group_flush_tlbs(struct cpu_group *g);
/* The same stop around a function, which must not wait for anything that a PE does. */
void cpu_group_stopped(struct cpu_group *g, void (*fn)(struct cpu_group *g, void *arg), void *arg);
/*
 * Pages of the VM have other contents, or none: what each PE knows of memory goes before it next enters the guest, or, if it is
 * inside, soon. Waits for no PE, so one that waits for such a page may be waited for by the caller. Any thread.
 */
void cpu_group_forget_memory(struct cpu_group *g);
/* Host counter of the system timer, CNTFRQ Hz; monotonic, the only clock a guest sees. */
enum { CPU_CNTFRQ = 62500000 };
uint64_t cpu_group_counter(const struct cpu_group *g);
/* Offsets subtracted for CNTVCT and CNTPCT. Atomic. */
void cpu_group_set_offset(struct cpu_group *g, unsigned timer, uint64_t off);
uint64_t cpu_group_offset(const struct cpu_group *g, unsigned timer);

/* The model of the PEs to come; the default is neoverse-n1. */
void cpu_group_set_model(struct cpu_group *g, const struct cpu_model *m);
const struct cpu_model *cpu_group_model(const struct cpu_group *g);

/* A PE of the group's model. Ends in reset state. NULL: out of memory. */
struct cpu *cpu_new(struct cpu_group *g, const struct cpu_platform *p, void *opaque);
void cpu_free(struct cpu *cpu);
/* Call after writing id[] from outside: the PE's features are what it says. */
void cpu_id_changed(struct cpu *cpu);
static inline bool cpu_has(const struct cpu *cpu, unsigned feature)
{
	return cpu->features >> feature & 1;
}
/* Warm reset to the state KVM documents (kvm-arm64-abi 4.1): registers only; MPIDR and ID registers are kept. */
void cpu_reset(struct cpu *cpu);

/*
 * Run until something must be handled at EL2. PE thread only. Enters at env.pc with cpu->pstate; takes pending
 * unmasked interrupts at instruction boundaries first; on return all registers are exact.
 *
 * Software step: the architecture's state machine on el2.mdscr.SS, PSTATE.SS and el2.tde. A step exception that goes to
 * EL2 is CPU_EXIT_TRAP with EC 0x32: ISV = 1 and EX filled if the PE executed the instruction in this call, else ISV = 0.
 * A pending step exception is reported before an interrupt is taken (fixed order).
 */
enum cpu_exit cpu_run(struct cpu *cpu);
/* Any thread, async-signal-safe: cpu_run returns CPU_EXIT_KICK at the next block boundary, also if it is not running yet. */
void cpu_kick(struct cpu *cpu);
void cpu_kick_self(struct cpu *cpu); /* in a signal handler, on the thread that runs the PE */
/* Guest memory may have been changed by the host: re-verify translated code before it is used again. */
void cpu_code_changed(struct cpu *cpu);

uint64_t cpu_pstate(const struct cpu *cpu);	     /* SPSR layout with NZCV and SS */
void cpu_set_pstate(struct cpu *cpu, uint64_t spsr); /* swaps the SP bank, recomputes the translation regime */
uint64_t cpu_sp(const struct cpu *cpu, unsigned el); /* SP_EL0 (0) or SP_EL1 (1) */
void cpu_set_sp(struct cpu *cpu, unsigned el, uint64_t v);
/* Call after writing sys[] registers that affect translation (SCTLR, TCR, TTBRn, MAIR) from outside: drops TLBs. */
void cpu_sys_changed(struct cpu *cpu);
static inline unsigned cpu_el(const struct cpu *cpu)
{
	return (cpu->pstate >> 2) & 3;
}

/* Exceptions to EL1, taken with everything the manual says (vector, SPSR with SS, ELR, PSTATE, monitor). ret = preferred return. */
void cpu_take_sync(struct cpu *cpu, uint64_t esr, uint64_t ret);		/* FAR untouched */
void cpu_take_abort(struct cpu *cpu, uint64_t esr, uint64_t far, uint64_t ret); /* FAR_EL1 = far */
void cpu_take_irq(struct cpu *cpu, uint32_t kind);				/* CPU_IRQ, CPU_FIQ, CPU_SERROR */

/* The decode tables' name for an instruction ("LDP_pre"), or NULL. */
const char *cpu_insn_name(uint32_t insn);

/* An instruction that trapped and was emulated: it counts as executed at that Exception level. */
void cpu_count_instruction(struct cpu *cpu, unsigned el);

/* Level of a timer's interrupt line now; and the host counter value at which it will rise, UINT64_MAX if never. */
bool cpu_timer_line(const struct cpu *cpu, unsigned timer);
uint64_t cpu_timer_deadline(const struct cpu *cpu, unsigned timer);

/*
 * Table of the registers that a PE owns, for ONE_REG and listings. get/set by encoding: 0, -ENOENT unknown.
 * (cpu->sys directly is fine too; this is for code that has an encoding.) No side effects but those of cpu_sys_changed.
 */
int cpu_sysreg_get(struct cpu *cpu, uint32_t enc, uint64_t *val);
int cpu_sysreg_set(struct cpu *cpu, uint32_t enc, uint64_t val);

/*
 * Stage 1 translation for the hypervisor's and debugger's own use: no side effects (no AF update, no fault taken).
 * 0 and *ipa, or the FSC (DFSC encoding, > 0).
 */
int cpu_translate(struct cpu *cpu, uint64_t va, ipa_t *ipa);

#endif
