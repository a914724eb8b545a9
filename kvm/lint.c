/* SPDX-License-Identifier: MIT */
/*
 * "A real KVM would fail here": places of a guest that work only because pawl does more than a kernel and hardware do, found
 * while it runs (PAWL_DEBUG_LINT in pawl.h; PAWL_LINT=FILE for clients that know nothing of it). Each place is reported once.
 * Changes nothing that a guest or a client can see.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core.h"

enum { SEEN = 1024, PROBES = 16 };

struct lint {
	pthread_mutex_t lock; /* a leaf, but for what the client's function takes */
	uint64_t seen[SEEN];  /* hash table of places, 0: free */
	void (*report)(void *arg, const struct pawl_finding *finding);
	void *arg;
};

/* ---- symbols: PAWL_SYMBOLS=FILE, in the format of System.map and of nm */

struct symbol {
	uint64_t at;
	char name[64];
};
static struct symbol *symbols; /* by address; constant once init() ran */
static size_t n_symbols;
static int lint_fd = -1;
bool lint_always;

static int by_address(const void *a, const void *b)
{
	uint64_t x = ((const struct symbol *)a)->at, y = ((const struct symbol *)b)->at;

	return (x > y) - (x < y);
}

static void read_symbols(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[512], type;
	struct symbol s;
	size_t room = 0;

	if (!f) {
		fprintf(stderr, "pawl: PAWL_SYMBOLS: cannot read %s: %s\n", path, strerror(errno));
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNx64 " %c %63s", &s.at, &type, s.name) != 3 || !strchr("tTwW", type))
			continue;
		if (n_symbols == room) {
			size_t more = room ? 2 * room : 4096;
			struct symbol *p = realloc(symbols, more * sizeof(*p));

			if (!p)
				break;
			symbols = p;
			room = more;
		}
		symbols[n_symbols++] = s;
	}
	fclose(f);
	qsort(symbols, n_symbols, sizeof(*symbols), by_address);
}

/* The last symbol at or below pc, at most a MiB below. */
static const struct symbol *symbol_of(uint64_t pc)
{
	size_t lo = 0, hi = n_symbols;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (symbols[mid].at <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && pc - symbols[lo - 1].at < 1 << 20 ? &symbols[lo - 1] : NULL;
}

static void init_once(void)
{
	const char *path = getenv("PAWL_LINT"), *map = getenv("PAWL_SYMBOLS");

	if (map && *map)
		read_symbols(map);
	if (!path || !*path)
		return;
	lint_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (lint_fd < 0)
		fprintf(stderr, "pawl: PAWL_LINT: cannot write %s: %s\n", path, strerror(errno));
	lint_always = lint_fd >= 0;
}

void lint_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_once);
}

/* ---- findings */

static const char *const texts[] = {
	[PAWL_LINT_NO_SYNDROME] =
		"an access outside of memory that its syndrome does not describe: KVM_RUN fails with ENOSYS",
	[PAWL_LINT_STEPPED_EXCLUSIVE] = "a store-exclusive whose load-exclusive was stepped: it fails each time",
	[PAWL_LINT_HOST_MEMORY] = "memory of a slot that the client's process does not have: KVM_RUN fails with EFAULT",
};

static void print(const struct pawl_finding *f)
{
	const struct symbol *s = symbol_of(f->pc);
	char line[512], symbol[96] = "";
	ssize_t ignored;
	int n;

	if (s)
		snprintf(symbol, sizeof(symbol), " <%s+0x%" PRIx64 ">", s->name, f->pc - s->at);
	n = snprintf(line, sizeof(line),
		     "pawl: real KVM would fail here: vcpu %u, PC 0x%" PRIx64 "%s, %08x %s, IPA 0x%" PRIx64 ": %s\n",
		     f->vcpu, f->pc, symbol, f->insn, f->insn_name, f->ipa, f->text);
	ignored = write(lint_fd >= 0 ? lint_fd : STDERR_FILENO, line, (size_t)n);
	(void)ignored;
}

/* First time for this place? lock held */
static bool is_new(struct lint *lint, uint64_t place)
{
	uint64_t hash = place * 0x9e3779b97f4a7c15ull >> 40;

	place = place ? place : 1;
	for (unsigned i = 0; i < PROBES; i++) {
		uint64_t *at = &lint->seen[(hash + i) % SEEN];

		if (*at == place)
			return false;
		if (!*at) {
			*at = place;
			return true;
		}
	}
	return true; /* too many: some are reported again */
}

static uint32_t insn_at(struct vcpu *vcpu, uint64_t pc)
{
	uint32_t insn = 0;
	ipa_t ipa;

	if (cpu_translate(vcpu->cpu, pc, &ipa) == 0)
		vm_read_guest(vcpu->vm, ipa, &insn, sizeof(insn));
	return insn;
}

void lint_found(struct vcpu *vcpu, enum pawl_lint kind, uint64_t pc, ipa_t ipa)
{
	struct lint *lint = vcpu->vm->priv->lint;
	uint32_t insn = insn_at(vcpu, pc);
	const char *name = cpu_insn_name(insn);
	struct pawl_finding f = {
		.kind = kind,
		.vcpu = vcpu->id,
		.pc = pc,
		.ipa = ipa,
		.insn = insn,
		.insn_name = name ? name : "?",
		.text = texts[kind],
	};
	void (*report)(void *, const struct pawl_finding *);
	void *arg;
	bool news;

	pthread_mutex_lock(&lint->lock);
	news = is_new(lint, pc ^ (uint64_t)kind << 60);
	report = lint->report;
	arg = lint->arg;
	pthread_mutex_unlock(&lint->lock);
	if (!news)
		return;
	if (report)
		report(arg, &f);
	else
		print(&f);
}

/* A step is about to be reported: was it a store-exclusive that a kernel would have let fail? pc: of the instruction */
void lint_step(struct vcpu *vcpu, uint64_t pc)
{
	const char *name;

	if (!vcpu->debug.monitor || vcpu->cpu->env.excl.valid)
		return;
	name = cpu_insn_name(insn_at(vcpu, pc));
	if (name && (strncmp(name, "STX", 3) == 0 || strncmp(name, "STLX", 4) == 0))
		lint_found(vcpu, PAWL_LINT_STEPPED_EXCLUSIVE, pc, 0);
}

/* ---- life */

int lint_vm_init(struct vm *vm)
{
	struct lint *lint = calloc(1, sizeof(*lint));

	if (!lint)
		return -ENOMEM;
	pthread_mutex_init(&lint->lock, NULL);
	vm->priv->lint = lint;
	return 0;
}

void lint_vm_destroy(struct vm *vm)
{
	if (!vm->priv->lint)
		return;
	pthread_mutex_destroy(&vm->priv->lint->lock);
	free(vm->priv->lint);
}

void lint_set_report(struct vm *vm, void (*report)(void *arg, const struct pawl_finding *finding), void *arg)
{
	struct lint *lint = vm->priv->lint;

	pthread_mutex_lock(&lint->lock);
	lint->report = report;
	lint->arg = arg;
	pthread_mutex_unlock(&lint->lock);
}
