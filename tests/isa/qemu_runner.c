/* SPDX-License-Identifier: MIT */
/*
 * An aarch64 Linux program that runs trials for oracle_qemu.c: each ends in a signal (BRK behind the instructions, or
 * what they raise), whose frame is the state afterwards; the state before the next one is put into the same frame.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "qemu_runner.h"

static struct trial *trials;
static unsigned current, count;
static uint8_t *slot;

static struct fpsimd_context *fpsimd(ucontext_t *uc)
{
	struct _aarch64_ctx *c = (void *)uc->uc_mcontext.__reserved;

	while (c->magic != FPSIMD_MAGIC)
		c = (void *)((char *)c + c->size);
	return (void *)c;
}

static void save(struct trial *t, int sig, ucontext_t *uc)
{
	struct fpsimd_context *fp = fpsimd(uc);
	struct state *s = &t->them.s;
	uint64_t first = t->in.pc, end = first + 4 * t->n;

	memcpy(s->x, uc->uc_mcontext.regs, sizeof(uc->uc_mcontext.regs));
	s->x[31] = uc->uc_mcontext.sp;
	s->pc = uc->uc_mcontext.pc;
	s->nzcv = (uint32_t)uc->uc_mcontext.pstate & 0xf0000000;
	s->fpcr = fp->fpcr;
	s->fpsr = fp->fpsr;
	memcpy(s->v, fp->vregs, sizeof(s->v));
	/* Elsewhere: a branch went there, and whatever is there raised a signal. */
	if (s->pc < first || s->pc >= end || sig == SIGVTALRM)
		t->them.outcome = DONE;
	else
		t->them.outcome = sig == SIGILL ? UNDEFINED : sig == SIGTRAP ? EXIT : FAULT;
}

static void load(const struct trial *t, ucontext_t *uc)
{
	struct fpsimd_context *fp = fpsimd(uc);
	const struct state *s = &t->in;
	const uint32_t end = SLOT_END;

	memcpy(uc->uc_mcontext.regs, s->x, sizeof(uc->uc_mcontext.regs));
	uc->uc_mcontext.sp = s->x[31];
	uc->uc_mcontext.pc = s->pc;
	uc->uc_mcontext.pstate = s->nzcv;
	fp->fpcr = s->fpcr;
	fp->fpsr = s->fpsr;
	memcpy(fp->vregs, s->v, sizeof(s->v));
	slot = (uint8_t *)s->pc;
	memcpy(slot, t->insns, 4 * t->n);
	memcpy(slot + 4 * t->n, &end, 4);
	__builtin___clear_cache((char *)slot, (char *)slot + 4 * t->n + 4);
}

static void next(int sig, siginfo_t *info, void *frame)
{
	/* A branch to itself would never end. Processor time, so that a busy machine does not matter. */
	static const struct itimerval limit = {.it_value.tv_sec = 3};
	char c = 0;

	if (count)
		save(&trials[current++], sig, frame);
	if (current == count) {
		if (write(RUNNER_OUT, &c, 1) != 1 || read(RUNNER_IN, &c, 1) != 1)
			_exit(0);
		current = 0;
		count = (unsigned char)c;
		setitimer(ITIMER_VIRTUAL, &limit, NULL);
	}
	load(&trials[current], frame);
}

int main(void)
{
	static uint8_t stack[65536];
	struct sigaction sa = {.sa_sigaction = next, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)};
	const int signals[] = {SIGTRAP, SIGILL, SIGSEGV, SIGBUS, SIGVTALRM};

	trials = mmap(NULL, RUNNER_DATA, PROT_READ | PROT_WRITE, MAP_SHARED, RUNNER_FD, 0);
	if (trials == MAP_FAILED || mmap((void *)DATA, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
					 RUNNER_FD, RUNNER_DATA) != (void *)DATA)
		return 1;
	if (mmap((void *)CODE, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_FIXED, RUNNER_FD,
		 RUNNER_CODE) != (void *)CODE)
		return 1;
	sigaltstack(&alt, NULL);
	sigaddset(&sa.sa_mask, SIGVTALRM);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
	__asm__ volatile("brk #0");
	return 1;
}
