/* SPDX-License-Identifier: MIT */
/*
 * What the rows of the step conformance matrix are written with: reports of the debugger, in sentences, and the guest's
 * surroundings (stage 1, interrupts, signals, a second vcpu). The machine itself is tests/api/harness.h.
 */
#ifndef PAWL_TEST_STEP_H
#define PAWL_TEST_STEP_H

#include "harness.h"

#define HOLE 0x70000000ull /* in no memslot, x14; x15 = REDIST */
#define STAGE1_TABLE 0x4000e000ull
#define EL0H_VECTOR 0x400
#define EL1H_VECTOR 0x200
#define PSTATE_EL1H 0x3c5ull
#define PSTATE_EL0 0x3c0ull
#define PSTATE_SS (1ull << 21)
#define CONTEXTIDR_EL1 SYS(3, 0, 13, 0, 1)

/* Another form of the same row: a new machine, and its failures begin with this text. */
void variant(const char *text);

/* have must be want; the sentence says what it is about: "LR after BL". */
#define says(have, want, sentence) check_equal_says(__FILE__, __LINE__, (uint64_t)(have), (uint64_t)(want), sentence)
void check_equal_says(const char *file, int line, uint64_t have, uint64_t want, const char *sentence);

/*
 * KVM_RUN must end with one step report at pc.
 * executed: ISV 1. skipped: emulated, ISV 0. taken: an exception entry, ISV 0 recorded, 1 allowed to a CPU. loaded: EX.
 */
#define step_executed(pc) step_at(__FILE__, __LINE__, pc, HSR_EXECUTED)
#define step_skipped(pc) step_at(__FILE__, __LINE__, pc, HSR_PENDING)
#define step_loaded(pc) step_at(__FILE__, __LINE__, pc, HSR_EXCLUSIVE)
#define step_vector(offset) step_taken_at(__FILE__, __LINE__, VECTORS + (offset))
void step_at(const char *file, int line, uint64_t pc, uint32_t hsr);
void step_taken_at(const char *file, int line, uint64_t pc);

/* KVM_RUN must end with this other debug exit. */
#define debug_exit(hsr, pc) debug_exit_at(__FILE__, __LINE__, hsr, pc)
void debug_exit_at(const char *file, int line, uint32_t hsr, uint64_t pc);
#define HSR_BREAKPOINT 0xc2000022u
#define HSR_WATCH_READ 0xd2000022u
#define HSR_WATCH_WRITE 0xd2000062u
#define HSR_BRK(imm) (0xf2000000u | (imm))

/* KVM_RUN must end with KVM_EXIT_MMIO: nothing committed, PC at the instruction. */
#define mmio_read(ipa, len) mmio_at(__FILE__, __LINE__, false, ipa, len)
#define mmio_write(ipa, len) mmio_at(__FILE__, __LINE__, true, ipa, len)
void mmio_at(const char *file, int line, bool write, uint64_t ipa, unsigned len);

/* One instruction, then a NOP: an executed step and nothing else. */
void stepping(unsigned flags, uint32_t insn);
/* A machine with a GICv2, whose CPU interface is at x9; skips the test where there is none. */
#define GICC (DIST + 0x10000)
void guest_gicv2(uint32_t insn, uint32_t next);
#define steps_over(insn) steps_over_at(__FILE__, __LINE__, insn)
void steps_over_at(const char *file, int line, uint32_t insn);

/* ---- breakpoints and watchpoints of the host */
#define BCR_ANY_EL 0x1e7ull
#define BCR(pmc) (0x1e1ull | (uint64_t)(pmc) << 1)
#define WCR(lsc, bas) (0x7ull | (uint64_t)(lsc) << 3 | (uint64_t)(bas) << 5)
void breakpoint(uint32_t control, uint64_t bcr, uint64_t bvr);
void watchpoint(uint32_t control, uint64_t wcr, uint64_t wvr);

/* ---- surroundings */
void stage1_on(void); /* identity for EL1, below 1 GiB as normal memory */
void enter_el0(void); /* registers so that the vcpu is in EL0 at EL0_CODE */
void enable_cap(uint32_t cap);
uint64_t ram_word(uint64_t ipa);
void set_ram_word(uint64_t ipa, uint64_t val);

/* KVM_RUN with a signal that comes again and again until it returns */
long run_until_signal(void);
/* A signal that is blocked outside KVM_RUN and let in inside: KVM_RUN finds it pending. */
void signal_pending(bool pending);

/* A second vcpu (only WITHOUT_GIC); use() says which one the others of this file and run() mean. */
struct second {
	int fd;
	struct kvm_run *run;
};
struct second add_second(unsigned extra_features);
void use(int fd, struct kvm_run *run);
void free_second(struct second *s);

#endif
