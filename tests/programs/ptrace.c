/* SPDX-License-Identifier: MIT */
/*
 * Self-hosted debug as Linux uses it: a child is single-stepped, stopped by hardware breakpoints and watchpoints, and by BRK,
 * through ptrace. Says "ok" per check; what is expected is Linux's ABI and the manual's. Not for qemu-user, which has no
 * ptrace.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct hw_regs { /* struct user_hwdebug_state */
	uint32_t info, pad;
	struct {
		uint64_t addr;
		uint32_t ctrl, pad;
	} reg[16];
};

extern char block[], block_end[], exclusive[], exclusive_end[], trap[];
static volatile uint64_t watched[4] __attribute__((aligned(32)));

__asm__(".text\n"
	".globl block, block_end, exclusive, exclusive_end, trap\n"
	"block: mov x0, #3\n"
	"1: subs x0, x0, #1\n"
	"b.ne 1b\n"
	"nop\n"
	"block_end: ret\n"
	"exclusive: ldxr x2, [x1]\n"
	"add x2, x2, #1\n"
	"stxr w3, x2, [x1]\n"
	"exclusive_end: ret\n"
	"trap: brk #0x123\n"
	"ret\n");

static void check(const char *what, int ok)
{
	printf("%s %s\n", ok ? "ok" : "NOT OK", what);
}

static void child(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	watched[3] = 0; /* a page of its own: a copy made at the store-exclusive would lose the monitor */
	((void (*)(void))block)();
	__asm__ volatile("mov x1, %0\n bl exclusive"
			 :
			 : "r"(&watched[3])
			 : "x0", "x1", "x2", "x3", "x30", "memory", "cc");
	watched[0] = 1;			      /* not watched */
	*(volatile uint8_t *)&watched[1] = 2; /* not the bytes that are */
	*((volatile uint8_t *)&watched[1] + 4) = 3;
	watched[2] = watched[1]; /* a read */
	((void (*)(void))trap)();
	_exit(7);
}

static uint64_t get_pc(pid_t pid)
{
	uint64_t r[34];
	struct iovec v = {r, sizeof(r)};

	return ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &v) ? 0 : r[32];
}

static void set_pc(pid_t pid, uint64_t pc)
{
	uint64_t r[34];
	struct iovec v = {r, sizeof(r)};

	ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &v);
	r[32] = pc;
	ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &v);
}

/* On with it: the signal that it stops with. */
static int go(pid_t pid, int how)
{
	int status = 0;

	ptrace(how, pid, 0, 0);
	waitpid(pid, &status, 0);
	return WIFSTOPPED(status) ? WSTOPSIG(status) : -status;
}

static int set_hw(pid_t pid, int type, uint64_t addr, uint32_t ctrl)
{
	struct hw_regs h = {0};
	struct iovec v = {&h, 8 + sizeof(h.reg[0])};

	h.reg[0].addr = addr;
	h.reg[0].ctrl = ctrl;
	return ptrace(PTRACE_SETREGSET, pid, (void *)(long)type, &v);
}

static siginfo_t info(pid_t pid)
{
	siginfo_t si = {0};

	ptrace(PTRACE_GETSIGINFO, pid, 0, &si);
	return si;
}

int main(void)
{
	enum { EL0 = 2 << 1, LOAD = 1 << 3, STORE = 2 << 3 };
	unsigned steps = 0, loops = 0;
	pid_t pid = fork();
	siginfo_t si;
	int status;

	if (!pid)
		child();
	waitpid(pid, &status, 0);

	check("a breakpoint register is set", set_hw(pid, NT_ARM_HW_BREAK, (uint64_t)block, 1 | EL0 | 0xf << 5) == 0);
	check("the breakpoint stops", go(pid, PTRACE_CONT) == SIGTRAP && get_pc(pid) == (uint64_t)block);
	si = info(pid);
	check("as a hardware breakpoint", si.si_code == TRAP_HWBKPT && si.si_addr == (void *)block);
	check("it is cleared", set_hw(pid, NT_ARM_HW_BREAK, 0, 0) == 0);

	/* mov, three times subs and b.ne, nop */
	while (get_pc(pid) != (uint64_t)block_end && steps < 100) {
		go(pid, PTRACE_SINGLESTEP);
		steps++;
	}
	check("eight steps to the end of the block", steps == 8);
	si = info(pid);
	check("a step is a trace trap", si.si_code == TRAP_TRACE);

	/* Stepping a load-exclusive loses the monitor: the store fails, once; then over it in one go. */
	set_hw(pid, NT_ARM_HW_BREAK, (uint64_t)exclusive, 1 | EL0 | 0xf << 5);
	check("the second breakpoint stops", go(pid, PTRACE_CONT) == SIGTRAP && get_pc(pid) == (uint64_t)exclusive);
	set_hw(pid, NT_ARM_HW_BREAK, 0, 0);
	while (get_pc(pid) != (uint64_t)exclusive_end && loops++ < 10)
		go(pid, PTRACE_SINGLESTEP);
	check("three steps over the exclusives", loops == 3);
	check("the store-exclusive failed", ptrace(PTRACE_PEEKDATA, pid, &watched[3], 0) == 0);
	set_pc(pid, (uint64_t)exclusive);
	set_hw(pid, NT_ARM_HW_BREAK, (uint64_t)exclusive_end, 1 | EL0 | 0xf << 5);
	check("free running it comes to the end",
	      go(pid, PTRACE_CONT) == SIGTRAP && get_pc(pid) == (uint64_t)exclusive_end);
	check("the store-exclusive succeeded", ptrace(PTRACE_PEEKDATA, pid, &watched[3], 0) == 1);
	set_hw(pid, NT_ARM_HW_BREAK, 0, 0);

	/* Bytes 4 to 7 of watched[1] */
	check("a watchpoint register is set",
	      set_hw(pid, NT_ARM_HW_WATCH, (uint64_t)&watched[1] + 4, 1 | EL0 | STORE | 0xf << 5) == 0);
	check("the watchpoint stops", go(pid, PTRACE_CONT) == SIGTRAP);
	si = info(pid);
	check("as a hardware breakpoint, with its address",
	      si.si_code == TRAP_HWBKPT && si.si_addr == (char *)&watched[1] + 4);
	check("before the store", (uint64_t)ptrace(PTRACE_PEEKDATA, pid, &watched[1], 0) == 2);
	check("reads are watched",
	      set_hw(pid, NT_ARM_HW_WATCH, (uint64_t)&watched[1], 1 | EL0 | LOAD | 0xff << 5) == 0);
	check("the read stops", go(pid, PTRACE_CONT) == SIGTRAP);
	check("the store was made", (uint64_t)ptrace(PTRACE_PEEKDATA, pid, &watched[1], 0) == (3ull << 32 | 2));
	set_hw(pid, NT_ARM_HW_WATCH, 0, 0);

	check("brk stops", go(pid, PTRACE_CONT) == SIGTRAP && get_pc(pid) == (uint64_t)trap);
	si = info(pid);
	check("as a software breakpoint", si.si_code == TRAP_BRKPT);
	set_pc(pid, (uint64_t)trap + 4);
	ptrace(PTRACE_CONT, pid, 0, 0);
	waitpid(pid, &status, 0);
	check("the child ends", WIFEXITED(status) && WEXITSTATUS(status) == 7);
	return 0;
}
