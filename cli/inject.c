/* SPDX-License-Identifier: MIT */
/*
 * Starts a program with the resident (shim/resident) in its process. This process becomes the program, by execve(), so
 * that it keeps its number, its parent and its /proc/self/exe. A second process traces it up to its first instruction,
 * maps the resident, gives it a stack as the kernel would (System V ABI, AMD64 supplement, "Process Initialization") and
 * lets go; nothing is traced when the program runs.
 */
#include "cli.h"

#if defined(__x86_64__)

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../shim/resident/handover.h"

enum { PAGE = 4096, STACK_SIZE = 1 << 20, STACK_TOP_SIZE = 16384, MAX_ENV = 64, MAX_AUX = 64 };

extern char **environ;

/* What is to be mapped. */
struct image {
	const uint8_t *data;
	size_t size;
	const Elf64_Ehdr *header;
	const Elf64_Phdr *segments;
	uint64_t span;
};

struct tracee {
	pid_t pid;
	struct user_regs_struct start; /* at its first instruction */
	uint64_t signals;	       /* that came in between */
};

/* ---- the resident's file */

static bool read_image(const char *path, struct image *im)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) != 0)
		return false;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return false;
	*im = (struct image){.data = p, .size = (size_t)st.st_size, .header = p};
	if (im->size < sizeof(*im->header) || memcmp(im->header->e_ident, ELFMAG, SELFMAG) != 0 ||
	    im->header->e_phoff + im->header->e_phnum * sizeof(Elf64_Phdr) > im->size)
		return false;
	im->segments = (const Elf64_Phdr *)(const void *)(im->data + im->header->e_phoff);
	for (unsigned i = 0; i < im->header->e_phnum; i++) {
		const Elf64_Phdr *s = &im->segments[i];

		if (s->p_type != PT_LOAD)
			continue;
		if (s->p_offset + s->p_filesz > im->size)
			return false;
		im->span = (s->p_vaddr + s->p_memsz + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	}
	return im->span != 0;
}

/* ---- the other process's memory and system calls */

static bool put(const struct tracee *t, uint64_t address, const void *data, size_t size)
{
	char path[64];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)t->pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ok = fd >= 0 && pwrite(fd, data, size, (off_t)address) == (ssize_t)size;
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Until the tracee stops with sig. */
static bool wait_for(struct tracee *t, int sig)
{
	int status;

	for (;;) {
		if (waitpid(t->pid, &status, __WALL) != t->pid || !WIFSTOPPED(status))
			return false;
		if (WSTOPSIG(status) == sig)
			return true;
		if (status >> 16 == 0)
			t->signals |= 1ull << (WSTOPSIG(status) - 1);
		if (ptrace(PTRACE_CONT, t->pid, NULL, NULL) != 0)
			return false;
	}
}

/* A system call of the tracee's; the instructions for it are at its first instruction (place). */
static long call(struct tracee *t, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	struct user_regs_struct r = t->start;

	r.rax = (uint64_t)nr;
	r.orig_rax = UINT64_MAX;
	r.rdi = a;
	r.rsi = b;
	r.rdx = c;
	r.r10 = d;
	r.r8 = e;
	r.r9 = f;
	if (ptrace(PTRACE_SETREGS, t->pid, NULL, &r) != 0 || ptrace(PTRACE_CONT, t->pid, NULL, NULL) != 0 ||
	    !wait_for(t, SIGTRAP) || ptrace(PTRACE_GETREGS, t->pid, NULL, &r) != 0)
		return -EIO;
	return (long)r.rax;
}

static bool is_error(long ret)
{
	return (unsigned long)ret >= -4095ul;
}

/* ---- placing the resident */

static long map_anonymous(struct tracee *t, uint64_t size)
{
	return call(t, SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0);
}

static bool map_image(struct tracee *t, const struct image *im, uint64_t *base)
{
	long p = map_anonymous(t, im->span);

	if (is_error(p))
		return false;
	*base = (uint64_t)p;
	for (unsigned i = 0; i < im->header->e_phnum; i++) {
		const Elf64_Phdr *s = &im->segments[i];
		uint64_t from = s->p_vaddr & ~(uint64_t)(PAGE - 1),
			 to = (s->p_vaddr + s->p_memsz + PAGE - 1) & ~(uint64_t)(PAGE - 1);
		uint64_t prot = (s->p_flags & PF_R ? PROT_READ : 0) | (s->p_flags & PF_W ? PROT_WRITE : 0) |
				(s->p_flags & PF_X ? PROT_EXEC : 0);

		if (s->p_type == PT_LOAD && (!put(t, *base + s->p_vaddr, im->data + s->p_offset, s->p_filesz) ||
					     call(t, SYS_mprotect, *base + from, to - from, prot, 0, 0, 0) != 0))
			return false;
	}
	return true;
}

/* The part of a stack that is filled, from its top down. */
struct stack {
	uint8_t bytes[STACK_TOP_SIZE];
	uint64_t top; /* address of the end */
	size_t used;
};

static uint64_t push(struct stack *s, const void *data, size_t size)
{
	if (s->used + size > sizeof(s->bytes))
		return 0;
	s->used += size;
	memcpy(s->bytes + sizeof(s->bytes) - s->used, data, size);
	return s->top - s->used;
}

static uint64_t push_text(struct stack *s, const char *text)
{
	return push(s, text, strlen(text) + 1);
}

static size_t read_auxv(const struct tracee *t, Elf64_auxv_t *aux)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", (int)t->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, aux, MAX_AUX * sizeof(*aux));
	close(fd);
	return n > 0 ? (size_t)n / sizeof(*aux) : 0;
}

/* The auxiliary vector of the process, with the resident as the program. */
static size_t make_auxv(const struct tracee *t, const struct image *im, uint64_t base, uint64_t random,
			Elf64_auxv_t *aux)
{
	size_t n = read_auxv(t, aux);

	for (size_t i = 0; i < n; i++) {
		switch (aux[i].a_type) {
		case AT_PHDR: aux[i].a_un.a_val = base + im->header->e_phoff; break;
		case AT_PHNUM: aux[i].a_un.a_val = im->header->e_phnum; break;
		case AT_ENTRY: aux[i].a_un.a_val = base + im->header->e_entry; break;
		case AT_BASE: aux[i].a_un.a_val = 0; break;
		case AT_RANDOM: aux[i].a_un.a_val = random; break;
		default: break;
		}
	}
	return n;
}

/* argc, argv, envp, auxv. The resident's environment is what is pawl's. */
static bool make_stack(const struct tracee *t, const struct image *im, uint64_t base, uint64_t stack, const char *name)
{
	struct stack s = {.top = stack + STACK_SIZE};
	struct handover h = {.pc = t->start.rip, .sp = t->start.rsp};
	uint64_t words[3 + MAX_ENV + 1], random, n = 0;
	Elf64_auxv_t aux[MAX_AUX];
	uint8_t noise[16] = {0};
	size_t n_aux, bytes;
	char text[32];

	snprintf(h.name, sizeof(h.name), "%s", name);
	snprintf(text, sizeof(text), "%jx", (uintmax_t)push(&s, &h, sizeof(h)));
	syscall(SYS_getrandom, noise, sizeof(noise), 0);
	random = push(&s, noise, sizeof(noise));
	words[n++] = 2;
	words[n++] = push_text(&s, "pawl-resident");
	words[n++] = push_text(&s, text);
	words[n++] = 0;
	/* The thread's restartable sequences are the program's. */
	words[n++] = push_text(&s, "GLIBC_TUNABLES=glibc.pthread.rseq=0");
	for (char **e = environ; *e && n < MAX_ENV; e++)
		if (strncmp(*e, "PAWL_", 5) == 0)
			words[n++] = push_text(&s, *e);
	words[n++] = 0;
	n_aux = make_auxv(t, im, base, random, aux);
	bytes = n * sizeof(*words) + n_aux * sizeof(*aux);
	s.used = (s.used + bytes + 15) / 16 * 16 - bytes; /* SP is 16-byte aligned */
	if (n_aux == 0 || push(&s, aux, n_aux * sizeof(*aux)) == 0 || push(&s, words, n * sizeof(*words)) == 0)
		return false;
	return put(t, s.top - s.used, s.bytes + sizeof(s.bytes) - s.used, s.used) &&
	       ptrace(PTRACE_SETREGS, t->pid, NULL,
		      &(struct user_regs_struct){.rip = base + im->header->e_entry,
						 .rsp = s.top - s.used,
						 .orig_rax = UINT64_MAX,
						 .eflags = t->start.eflags,
						 .cs = t->start.cs,
						 .ss = t->start.ss}) == 0;
}

/*
 * The tracee is in execve(), about to return: let it come to its first instruction, and put the resident before that. (Inside
 * execve() it has no registers that would stay.)
 */
static bool place(struct tracee *t, const struct image *im, const char *name)
{
	static const uint8_t stop[] = {0xcc /* int3 */}, code[] = {0x0f, 0x05 /* syscall */, 0xcc};
	uint64_t base, entry;
	long word, stack;
	bool ok;

	if (ptrace(PTRACE_GETREGS, t->pid, NULL, &t->start) != 0)
		return false;
	entry = t->start.rip;
	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, t->pid, (void *)entry, NULL);
	if (errno || !put(t, entry, stop, sizeof(stop)) || ptrace(PTRACE_CONT, t->pid, NULL, NULL) != 0 ||
	    !wait_for(t, SIGTRAP) || ptrace(PTRACE_GETREGS, t->pid, NULL, &t->start) != 0)
		return false;
	t->start.rip = entry;
	if (!put(t, entry, code, sizeof(code)))
		return false;
	ok = map_image(t, im, &base);
	stack = ok ? map_anonymous(t, STACK_SIZE) : -ENOMEM;
	ok = put(t, entry, &word, sizeof(code)) && !is_error(stack);
	return ok && make_stack(t, im, base, (uint64_t)stack, name);
}

/* The second process. One byte to `ready` says that the first may go on; another value than 0 says why not. */
static void trace(pid_t pid, int ready, const struct image *im, const char *name)
{
	struct tracee t = {.pid = pid};
	uint8_t error = 0;
	int status;

	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)(PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)) != 0)
		error = (uint8_t)errno;
	if (write(ready, &error, 1) != 1 || error)
		_exit(1);
	close(ready);
	for (;;) {
		if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
			_exit(1); /* execve() failed, and has been reported */
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8))
			break;
		ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)WSTOPSIG(status));
	}
	if (!place(&t, im, name)) {
		cli_error("exec", "%s: the process cannot be prepared for /dev/kvm", name);
		kill(pid, SIGKILL);
		_exit(1);
	}
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	for (int sig = 1; sig <= 64; sig++)
		if (t.signals & 1ull << (sig - 1))
			kill(pid, sig);
	_exit(0);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int inject_exec(const char *program, char **argv, const char *resident)
{
	pid_t pid = getpid(), middle, tracer = 0;
	int go[2], who[2];
	struct image im;
	uint8_t error = EIO;

	if (!read_image(resident, &im)) {
		cli_error("exec", "%s: cannot be loaded", resident);
		return EXIT_NOT_RUNNABLE;
	}
	if (pipe2(go, O_CLOEXEC) != 0 || pipe2(who, O_CLOEXEC) != 0) {
		cli_error("exec", "%s: %s", program, strerror(errno));
		return EXIT_NOT_RUNNABLE;
	}
	/* By way of a third one, so that the program has no child that it does not know. */
	middle = fork();
	if (middle == 0) {
		pid_t child = fork();

		if (child == 0) {
			uint8_t start;

			close(go[0]);
			close(who[1]);
			/* The first one says that it lets us. */
			if (read(who[0], &start, 1) == 1)
				trace(pid, go[1], &im, base_name(program));
			_exit(1);
		}
		_exit(child > 0 && write(go[1], &child, sizeof(child)) == sizeof(child) ? 0 : 1);
	}
	close(go[1]);
	close(who[0]);
	if (middle > 0)
		waitpid(middle, NULL, 0);
	if (middle < 0 || read(go[0], &tracer, sizeof(tracer)) != sizeof(tracer)) {
		cli_error("exec", "%s: %s", program, strerror(EAGAIN));
		return EXIT_NOT_RUNNABLE;
	}
	prctl(PR_SET_PTRACER, (unsigned long)tracer, 0, 0, 0);
	if (write(who[1], "", 1) != 1 || read(go[0], &error, 1) != 1 || error) {
		cli_error("exec", "%s: it has to be traced for a moment, and that is not permitted here: %s", program,
			  strerror(error));
		return EXIT_NOT_RUNNABLE;
	}
	execv(program, argv);
	cli_error("exec", "%s: %s", program, strerror(errno));
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
}

#endif
