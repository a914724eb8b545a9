/* SPDX-License-Identifier: MIT */
/*
 * `monitor` commands: text in, text out. What gdb has no packet for: how steps behave, other views of memory, translations,
 * system registers by name, what a vcpu last left KVM_RUN for, where the kernel is. docs/gdb.md describes them.
 */
#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <pawl/pawl.h>

/* Numbers as in gdb's output: hexadecimal, with or without 0x. False if anything else follows but spaces. */
static bool number(const char *text, uint64_t *val)
{
	text += strspn(text, " ");
	text += !strncmp(text, "0x", 2) ? 2 : 0;
	return hex_u64(&text, val) && !text[strspn(text, " ")];
}

/* ---- memory */

static void mon_translate(struct gdb_server *s, char *arg, FILE *f)
{
	uint64_t va, ipa, size;

	if (!number(arg, &va))
		fprintf(f, "usage: monitor translate ADDRESS\n");
	else if (walk(&s->t, s->cur, &s->t.view, va, &ipa, &size))
		fprintf(f, "%#" PRIx64 " is not mapped in the tables of vcpu %u\n", va, s->cur);
	else
		fprintf(f, "%#" PRIx64 " -> IPA %#" PRIx64 " (%#" PRIx64 " bytes to the end of the mapping)%s\n", va,
			ipa, size,
			walk_mmu_on(&s->t, s->cur) || s->t.view.kind == VIEW_PHYSICAL ? "" : ", the MMU is off");
}

static void print_view(struct gdb_server *s, FILE *f)
{
	switch (s->t.view.kind) {
	case VIEW_VIRTUAL: fprintf(f, "memory is seen at virtual addresses of the selected vcpu\n"); break;
	case VIEW_PHYSICAL: fprintf(f, "memory is seen at physical addresses (IPA)\n"); break;
	case VIEW_TABLE:
		fprintf(f, "memory is seen at virtual addresses; the low half through the table at %#" PRIx64 "\n",
			(uint64_t)(s->t.view.ttbr0 & 0xfffffffffffeull));
		break;
	}
	fprintf(f, "gdb remembers what it has read: 'maintenance flush dcache' after a change of view\n");
}

static void mon_view(struct gdb_server *s, char *arg, FILE *f)
{
	struct view v = {0};

	if (!strcmp(arg, "virtual")) {
		s->t.view = view_virtual;
	} else if (!strcmp(arg, "physical")) {
		v.kind = VIEW_PHYSICAL;
		s->t.view = v;
	} else if (!strncmp(arg, "ttbr0 ", 6) && number(arg + 6, &v.ttbr0)) {
		v.kind = VIEW_TABLE;
		s->t.view = v;
	} else if (*arg) {
		fprintf(f, "usage: monitor view [virtual | physical | ttbr0 VALUE]\n");
		return;
	}
	print_view(s, f);
}

static void mon_asid(struct gdb_server *s, char *arg, FILE *f)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 0);

	for (unsigned i = 0; i < s->t.n; i++)
		target_note_space(&s->t, i);
	if (!*arg) {
		for (unsigned i = 0; i < s->t.n_spaces; i++)
			fprintf(f, "asid %u: table at %#" PRIx64 "\n", s->t.spaces[i].asid, s->t.spaces[i].ttbr0);
		return;
	}
	if (*end) {
		fprintf(f, "usage: monitor asid [NUMBER]\n");
		return;
	}
	for (unsigned i = 0; i < s->t.n_spaces; i++) {
		if (s->t.spaces[i].asid != n)
			continue;
		s->t.view = (struct view){.kind = VIEW_TABLE, .ttbr0 = s->t.spaces[i].ttbr0};
		return print_view(s, f);
	}
	fprintf(f, "no vcpu has had ASID %lu at a stop; if you know its table: monitor view ttbr0 VALUE\n", n);
}

/* ---- registers */

static void mon_reg(struct gdb_server *s, char *arg, FILE *f)
{
	char *value = arg + strcspn(arg, " =");
	uint64_t v = 0;
	int n, rc = 0;

	if (*value)
		*value++ = '\0';
	value += strspn(value, " =");
	n = regs_find(&s->t, arg);
	if (!*arg) {
		fprintf(f, "usage: monitor reg NAME [VALUE]\n");
		return;
	}
	if (n < 0) {
		fprintf(f, "no system register named '%s' here; 'maintenance print registers' lists them\n", arg);
		return;
	}
	if (*value && !number(value, &v)) {
		fprintf(f, "'%s' is not a hexadecimal number\n", value);
		return;
	}
	if (*value)
		rc = regs_set(&s->t, s->cur, (unsigned)n, &v);
	if (!rc)
		rc = regs_get(&s->t, s->cur, (unsigned)n, &v);
	if (rc < 0)
		fprintf(f, "%s: %s\n", arg, strerror(-rc));
	else
		fprintf(f, "%s = %#" PRIx64 "\n", arg, v);
}

/* ---- breakpoints */

static void mon_breakpoints(struct gdb_server *s, char *arg, FILE *f)
{
	static const char *const kind[] = {"breakpoint", "hardware breakpoint", "write watchpoint", "read watchpoint",
					   "access watchpoint"};

	fprintf(f, "%u breakpoint and %u watchpoint comparators per vcpu%s%s\n", s->t.max_bps, s->t.max_wps,
		s->t.max_list ? ", breakpoints beyond that by pawl's list" : "",
		s->t.watch_wide ? ", some watch more than was asked for" : "");
	for (unsigned i = 0; i < s->t.n_bps; i++) {
		const struct bp *b = &s->t.bps[i];

		fprintf(f, "%#" PRIx64 " %s", b->addr, kind[b->type]);
		if (bp_is_watch(b->type))
			fprintf(f, " of %" PRIu64 " bytes", b->len);
		else if (b->place == BP_IN_MEMORY)
			fprintf(f, ", BRK at IPA %#" PRIx64, b->ipa);
		else if (b->place == BP_NOWHERE)
			fprintf(f, ", nowhere since the reset");
		else
			fprintf(f, ", comparator");
		if (b->n_cond)
			fprintf(f, ", %u conditions", b->n_cond);
		fprintf(f, ", hit %" PRIu64 " times", b->hits);
		if (b->n_cond)
			fprintf(f, ", %" PRIu64 " of them passed by", b->skips);
		fputs("\n", f);
	}
}

/* ---- policies */

static const struct {
	const char *name;
	unsigned bit;
	const char *on, *off;
} policies[] = {
	{"hold-irqs", PAWL_DEBUG_HOLD_IRQS, "interrupts stay pending during a step",
	 "a step may end in the handler of an interrupt"},
	{"keep-monitor", PAWL_DEBUG_KEEP_MONITOR, "load-exclusive and store-exclusive can be stepped",
	 "a store-exclusive fails if it is stepped up to"},
	{"wfi-returns", PAWL_DEBUG_WFI_RETURNS, "a step over WFI is over at once",
	 "a step over WFI waits for an interrupt"},
};

enum { N_POLICIES = sizeof(policies) / sizeof(policies[0]) };

static void policy_print(struct gdb_server *s, FILE *f)
{
	for (unsigned i = 0; i < N_POLICIES; i++) {
		bool known = s->t.policies & policies[i].bit, on = s->t.policy & policies[i].bit;

		fprintf(f, "%-13s %s %s%s\n", policies[i].name, on ? "on " : "off",
			on ? policies[i].on : policies[i].off, known ? "" : " (this KVM cannot do otherwise)");
	}
}

void policy_tell(struct gdb_server *s)
{
	char text[300];
	size_t len;

	if (s->told_policy || s->non_stop) /* which has no packet for it */
		return;
	s->told_policy = true;
	len = (size_t)snprintf(text, sizeof(text), "Steps here (monitor policy): ");
	for (unsigned i = 0; i < N_POLICIES && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i ? "; " : "",
					s->t.policy & policies[i].bit ? policies[i].on : policies[i].off);
	console(s, text);
}

static void mon_policy(struct gdb_server *s, char *arg, FILE *f)
{
	char *state = arg + strcspn(arg, " ");
	unsigned policy = s->t.policy;
	int rc = 0;

	if (*state)
		*state++ = '\0';
	state += strspn(state, " ");
	if (!strcmp(arg, "default")) {
		rc = target_set_policy(&s->t, s->t.policies);
	} else if (*arg) {
		unsigned i = 0;

		while (i < N_POLICIES && strcmp(policies[i].name, arg) != 0)
			i++;
		if (i == N_POLICIES || (strcmp(state, "on") != 0 && strcmp(state, "off") != 0)) {
			fprintf(f, "usage: monitor policy [default | hold-irqs on|off | keep-monitor on|off | "
				   "wfi-returns on|off]\n");
			return;
		}
		policy = !strcmp(state, "on") ? policy | policies[i].bit : policy & ~policies[i].bit;
		rc = target_set_policy(&s->t, policy);
	}
	if (rc)
		fprintf(f, "this KVM has no such policy: it is an extension of pawl's\n");
	policy_print(s, f);
}

/* ---- exits */

static const char *exit_text(uint32_t reason)
{
	switch (reason) {
	case KVM_EXIT_MMIO: return "MMIO";
	case KVM_EXIT_DEBUG: return "debug";
	case KVM_EXIT_INTR: return "interrupted";
	case KVM_EXIT_SYSTEM_EVENT: return "system event";
	case KVM_EXIT_FAIL_ENTRY: return "failed entry";
	case KVM_EXIT_INTERNAL_ERROR: return "internal error";
	case KVM_EXIT_ARM_NISV: return "access without syndrome";
	case KVM_EXIT_HYPERCALL: return "hypercall";
	default: return "other";
	}
}

static void mon_exits(struct gdb_server *s, char *arg, FILE *f)
{
	unsigned n = *arg ? (unsigned)strtoul(arg, NULL, 0) : 10;
	struct gdb_exit e;

	for (unsigned i = 0; i < n && s->t.ops->last_exit(s->t.opaque, s->cur, i, &e) > 0; i++) {
		if (e.error)
			fprintf(f, "%3u KVM_RUN failed: %s\n", i, strerror(e.error));
		else if (e.reason == KVM_EXIT_MMIO)
			fprintf(f, "%3u MMIO %s of %u bytes at %#" PRIx64 ": %#" PRIx64 "\n", i,
				e.is_write ? "write" : "read", e.len, e.address, e.value);
		else if (e.reason == KVM_EXIT_DEBUG)
			fprintf(f, "%3u debug, syndrome %#" PRIx64 ", far %#" PRIx64 "\n", i, e.value, e.address);
		else if (e.reason == KVM_EXIT_SYSTEM_EVENT)
			fprintf(f, "%3u system event %" PRIu64 "\n", i, e.address);
		else
			fprintf(f, "%3u %s (exit reason %u)\n", i, exit_text(e.reason), e.reason);
	}
}

/* ---- the kernel */

static void mon_kernel(struct gdb_server *s, char *arg, FILE *f)
{
	struct kernel k;

	if (!kernel_find(&s->t, &k)) {
		fprintf(f, "no Linux kernel in RAM\n");
		return;
	}
	fprintf(f, "image at IPA %#" PRIx64 ", %#" PRIx64 " bytes", k.ipa, k.size);
	if (k.va)
		fprintf(f, ", mapped at %#" PRIx64 "\n", k.va);
	else
		fprintf(f, ", not mapped yet\n");
}

/* ---- the list */

static void mon_help(struct gdb_server *s, char *arg, FILE *f);

static const struct monitor {
	const char *name, *arg, *help;
	void (*fn)(struct gdb_server *s, char *arg, FILE *f);
} monitors[] = {
	{"help", "", "this list", mon_help},
	{"policy", "[NAME on|off]", "what holds while a vcpu is stepped", mon_policy},
	{"translate", "ADDRESS", "the guest's stage 1 translation of it", mon_translate},
	{"view", "[virtual|physical|ttbr0 VALUE]", "through what gdb sees memory", mon_view},
	{"asid", "[NUMBER]", "see user memory of another address space; or list those known", mon_asid},
	{"reg", "NAME [VALUE]", "a system register, read or written", mon_reg},
	{"breakpoints", "", "what is inserted now, where, and how often it was hit", mon_breakpoints},
	{"exits", "[COUNT]", "what KVM_RUN returned with, the last first", mon_exits},
	{"kernel", "", "where the Linux kernel is", mon_kernel},
};

enum { N_MONITORS = sizeof(monitors) / sizeof(monitors[0]) };

static void mon_help(struct gdb_server *s, char *arg, FILE *f)
{
	for (size_t i = 0; i < N_MONITORS; i++) {
		char left[64];

		snprintf(left, sizeof(left), "%s %s", monitors[i].name, monitors[i].arg);
		fprintf(f, "%-38s %s\n", left, monitors[i].help);
	}
}

void cmd_monitor(struct gdb_server *s, const char *p)
{
	char line[256], *text = NULL, *arg;
	size_t n = strlen(p) / 2, len, i;
	FILE *f;

	if (n >= sizeof(line))
		n = sizeof(line) - 1;
	if (!hex_bytes(&p, line, n))
		return reply_rc(s, -EINVAL);
	line[n] = '\0';
	arg = line + strcspn(line, " ");
	if (*arg)
		*arg++ = '\0';
	arg += strspn(arg, " ");
	f = open_memstream(&text, &len);
	if (!f)
		return reply_rc(s, -ENOMEM);
	for (i = 0; i < N_MONITORS && strcmp(line, monitors[i].name) != 0; i++)
		;
	if (i < N_MONITORS)
		monitors[i].fn(s, arg, f);
	else
		fprintf(f, "no command '%s'; try 'monitor help'\n", line);
	fclose(f);
	if (!len) { /* an empty reply would mean that monitor commands are unknown */
		free(text);
		return reply(s, "OK");
	}
	out_reset(&s->out);
	out_hex(&s->out, text, len < PACKET_MAX / 2 ? len : PACKET_MAX / 2);
	free(text);
	reply_out(s);
}
