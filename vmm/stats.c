/* SPDX-License-Identifier: MIT */
/*
 * What --stats prints and the control socket's "stats" answers: the counters that KVM has of the VM and of each vcpu, read
 * from its own files (api.rst 4.134), which say what they hold; so a kernel's KVM tells what it has, too. Those that libpawl
 * adds have names that begin with "pawl_", and some are worth being set out.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine.h"
#include "stats.h"

enum { NAME_MAX_BYTES = 64, FILE_MAX_BYTES = 1 << 20 };

struct counter {
	char name[NAME_MAX_BYTES];
	unsigned n; /* values; more than one: a histogram */
	uint64_t *value;
};

struct counters { /* of a file, as it is now */
	unsigned n;
	struct counter *counter;
	uint64_t *values;
};

struct stats {
	unsigned n; /* vcpus */
	int vm_fd, *fd;
};

/* ---- reading */

static bool read_at(int fd, void *to, size_t len, uint64_t offset)
{
	return offset < FILE_MAX_BYTES && pread(fd, to, len, (off_t)offset) == (ssize_t)len;
}

static void forget(struct counters *c)
{
	free(c->counter);
	free(c->values);
	memset(c, 0, sizeof(*c));
}

/* False: it is no such file, or there is no memory. */
static bool read_counters(int fd, struct counters *c)
{
	struct kvm_stats_header head;
	struct kvm_stats_desc *d;
	unsigned total = 0;
	uint64_t *at;
	bool ok;

	memset(c, 0, sizeof(*c));
	if (!read_at(fd, &head, sizeof(head), 0) || head.num_desc > 4096 || !head.name_size || head.name_size > 4096)
		return false;
	d = malloc(sizeof(*d) + head.name_size);
	c->counter = calloc(head.num_desc + 1, sizeof(*c->counter));
	ok = d && c->counter;
	for (unsigned pass = 0; ok && pass < 2; pass++) {
		at = c->values;
		for (unsigned i = 0; ok && i < head.num_desc; i++) {
			size_t size = sizeof(*d) + head.name_size;
			struct counter *to = &c->counter[i];

			ok = read_at(fd, d, size, head.desc_offset + (uint64_t)i * size) && d->size <= 4096;
			if (!ok)
				break;
			if (!pass) {
				snprintf(to->name, sizeof(to->name), "%.*s", (int)head.name_size, d->name);
				to->n = d->size;
				total += d->size;
				continue;
			}
			to->value = at;
			at += to->n;
			ok = read_at(fd, to->value, to->n * sizeof(*at), (uint64_t)head.data_offset + d->offset);
		}
		if (!pass)
			c->values = calloc(total + 1, sizeof(*c->values));
		ok = ok && c->values;
	}
	free(d);
	if (!ok)
		forget(c);
	else
		c->n = head.num_desc;
	return ok;
}

/* The counters of all vcpus have the same layout. */
static bool add(struct counters *sum, const struct counters *c)
{
	if (sum->n != c->n)
		return false;
	for (unsigned i = 0; i < c->n; i++)
		for (unsigned k = 0; k < c->counter[i].n; k++)
			sum->counter[i].value[k] += c->counter[i].value[k];
	return true;
}

/* ---- the whole machine */

struct snapshot {
	unsigned n; /* vcpus */
	struct counters vm, sum, *vcpu;
};

static void snapshot_free(struct snapshot *s)
{
	forget(&s->vm);
	forget(&s->sum);
	for (unsigned i = 0; s->vcpu && i < s->n; i++)
		forget(&s->vcpu[i]);
	free(s->vcpu);
}

static bool snapshot(const struct stats *st, struct snapshot *s)
{
	*s = (struct snapshot){.n = st->n, .vcpu = calloc(st->n, sizeof(*s->vcpu))};
	if (!s->vcpu || !read_counters(st->vm_fd, &s->vm))
		goto fail;
	for (unsigned i = 0; i < st->n; i++) {
		if (!read_counters(st->fd[i], &s->vcpu[i]))
			goto fail;
		if (i ? !add(&s->sum, &s->vcpu[i]) : !read_counters(st->fd[i], &s->sum))
			goto fail;
	}
	return true;
fail:
	snapshot_free(s);
	return false;
}

int stats_open(struct machine *m, struct vmm_error *err)
{
	struct stats *st = calloc(1, sizeof(*st));

	m->stats = st;
	if (st)
		st->fd = calloc(m->n_vcpus, sizeof(*st->fd));
	if (!st || !st->fd)
		return vmm_fail(err, "no memory for statistics");
	st->vm_fd = m->sys->ioctl(m->vm_fd, KVM_GET_STATS_FD, NULL);
	if (st->vm_fd < 0)
		return vmm_fail(err, "%s gives no statistics: %s", m->sys->name, strerror(errno));
	for (; st->n < m->n_vcpus; st->n++) {
		int fd = m->sys->ioctl(m->vcpus[st->n].fd, KVM_GET_STATS_FD, NULL);

		if (fd < 0)
			return vmm_fail(err, "no statistics of vcpu %u: %s", st->n, strerror(errno));
		st->fd[st->n] = fd;
	}
	return 0;
}

void stats_close(struct machine *m)
{
	struct stats *st = m->stats;

	if (!st)
		return;
	if (st->vm_fd > 0)
		close(st->vm_fd);
	for (unsigned i = 0; i < st->n; i++)
		close(st->fd[i]);
	free(st->fd);
	free(st);
	m->stats = NULL;
}

/* ---- names of what is counted by number */

static const char *ec_name(unsigned ec) /* Arm ARM DDI 0487, "ESR_EL2.EC" */
{
	static const char *const names[64] = {
		[0x00] = "unknown, undefined",
		[0x01] = "WFI, WFE",
		[0x07] = "FP, SIMD access",
		[0x0d] = "BTI",
		[0x0e] = "illegal state",
		[0x15] = "SVC",
		[0x16] = "HVC",
		[0x17] = "SMC",
		[0x18] = "MSR, MRS, SYS",
		[0x19] = "SVE access",
		[0x1c] = "pointer authentication",
		[0x20] = "instruction abort, lower EL",
		[0x21] = "instruction abort",
		[0x22] = "PC alignment",
		[0x24] = "data abort, lower EL",
		[0x25] = "data abort",
		[0x26] = "SP alignment",
		[0x2c] = "floating-point exception",
		[0x2f] = "SError",
		[0x30] = "breakpoint, lower EL",
		[0x31] = "breakpoint",
		[0x32] = "step, lower EL",
		[0x33] = "step",
		[0x34] = "watchpoint, lower EL",
		[0x35] = "watchpoint",
		[0x38] = "BKPT",
		[0x3c] = "BRK",
	};

	return ec < 64 ? names[ec] : NULL;
}

static const char *irq_name(unsigned i)
{
	return i == 0 ? "IRQ" : i == 1 ? "FIQ" : "SError";
}

/* ---- the table */

/* What libpawl counts, in the order and the words of a reader. Of a counter that is not there nothing is printed. */
struct row {
	const char *counter, *label;
	const char *(*name)(unsigned); /* by number: a line for each that is not 0 */
	const char *per;	       /* a quotient of counters, with one decimal */
};
static const struct row rows[] = {
	{NULL, "translation", NULL, NULL},
	{"pawl_units", "units", NULL, NULL},
	{"pawl_unit_insns", "guest instructions in them", NULL, NULL},
	{"pawl_units_again", "units made again, being hot", NULL, NULL},
	{"pawl_traces", "... as traces of several units", NULL, NULL},
	{"pawl_unit_bytes", "bytes of host code made", NULL, NULL},
	{"pawl_unit_bytes", "bytes for an instruction", NULL, "pawl_unit_insns"},
	{"pawl_translate_ns", "time, ns", NULL, NULL},
	{"pawl_translate_ns", "ns for an instruction", NULL, "pawl_translate_ns_insns"},
	{"pawl_interpreted_once", "blocks met first, interpreted", NULL, NULL},
	{"pawl_interpreted_blocks", "blocks without code", NULL, NULL},
	{"pawl_code_bytes", "host code held, bytes", NULL, NULL},
	{"pawl_block_bytes", "blocks held, bytes", NULL, NULL},
	{"pawl_code_drops", "all dropped, since full", NULL, NULL},
	{"pawl_code_stale", "units whose code had changed", NULL, NULL},
	{"pawl_code_lookups", "look-ups outside of code", NULL, NULL},
	{"pawl_code_links", "links made", NULL, NULL},
	{NULL, "translated code left for C", NULL, NULL},
	{"pawl_code_entered", "in all", NULL, NULL},
	{"pawl_code_left_link", "an exit without a link", NULL, NULL},
	{"pawl_code_left_lookup", "the jump cache did not know", NULL, NULL},
	{"pawl_code_left_attention", "kick, interrupt, new regime", NULL, NULL},
	{"pawl_code_left_trap", "exception inside of a unit", NULL, NULL},
	{"pawl_code_left_exit", "exception as its last op", NULL, NULL},
	{NULL, "guest accesses", NULL, NULL},
	{"pawl_extent_hit", "in their extent", NULL, NULL},
	{"pawl_tlb_hit", "soft TLB, by code", NULL, NULL},
	{"pawl_tlb_hit_in_c", "soft TLB, by C", NULL, NULL},
	{"pawl_tlb_shared", "another space's kernel half", NULL, NULL},
	{"pawl_tlb_walk", "table walks", NULL, NULL},
	{"pawl_fetch_hit", "fetch TLB", NULL, NULL},
	{"pawl_fetch_walk", "table walks for a fetch", NULL, NULL},
	{"pawl_tlb_new_space", "address spaces begun empty", NULL, NULL},
	{"pawl_tlb_flush_va", "flushes: an address", NULL, NULL},
	{"pawl_tlb_flush_asid", "flushes: an ASID", NULL, NULL},
	{"pawl_tlb_flush_all", "flushes: everything", NULL, NULL},
	{NULL, "exceptions taken to EL1", NULL, NULL},
	{"pawl_el1_irq", NULL, irq_name, NULL},
	{"pawl_el1_ec", NULL, ec_name, NULL},
	{NULL, "exits to KVM", NULL, NULL},
	{"exits", "in all", NULL, NULL},
	{"pawl_exit_kick", "kick, interrupt, signal", NULL, NULL},
	{"pawl_exit_ec", NULL, ec_name, NULL},
	{NULL, "KVM", NULL, NULL},
};
enum { N_ROWS = sizeof(rows) / sizeof(rows[0]), LABEL = 32, VALUE = 15 };

static const struct counter *find(const struct counters *c, const char *name)
{
	for (unsigned i = 0; i < c->n; i++)
		if (!strcmp(c->counter[i].name, name))
			return &c->counter[i];
	return NULL;
}

static uint64_t value_of(const struct counters *c, const char *name, unsigned i)
{
	const struct counter *x = find(c, name);

	return x && i < x->n ? x->value[i] : 0;
}

/* A line: each vcpu, and behind them all together. One vcpu is all together. */
static void line(FILE *out, const struct snapshot *s, const char *label, const char *counter, unsigned i,
		 const char *per)
{
	fprintf(out, "  %-*s", LABEL - 2, label);
	for (unsigned v = s->n > 1 ? 0 : s->n; v <= s->n; v++) {
		const struct counters *c = v < s->n ? &s->vcpu[v] : &s->sum;
		uint64_t divisor = per ? value_of(c, per, 0) : 0;

		if (!per)
			fprintf(out, "%*" PRIu64, VALUE, value_of(c, counter, i));
		else if (divisor)
			fprintf(out, "%*.1f", VALUE, (double)value_of(c, counter, i) / (double)divisor);
		else
			fprintf(out, "%*s", VALUE, "-");
	}
	fputc('\n', out);
}

static void print_row(FILE *out, const struct snapshot *s, const struct row *row)
{
	const struct counter *c = find(&s->sum, row->counter);
	char number[32];

	if (!c)
		return;
	if (!strcmp(row->counter, "pawl_extent_hit") && !c->value[0])
		return; /* nobody has counted */
	if (!row->name) {
		line(out, s, row->label, row->counter, 0, row->per);
		return;
	}
	for (unsigned i = 0; i < c->n; i++) {
		const char *name = row->name(i);

		if (!c->value[i])
			continue;
		if (!name) {
			snprintf(number, sizeof(number), "class %#x", i);
			name = number;
		}
		line(out, s, name, row->counter, i, NULL);
	}
}

static bool has_row(const char *counter)
{
	for (unsigned i = 0; i < N_ROWS; i++)
		if (rows[i].counter && !strcmp(rows[i].counter, counter))
			return true;
	return !strcmp(counter, "pawl_translate_ns_insns");
}

static void print(FILE *out, const struct snapshot *s)
{
	fprintf(out, "%-*s", LABEL, "statistics");
	for (unsigned v = 0; s->n > 1 && v < s->n; v++)
		fprintf(out, "%*s %u", VALUE - 2 - (v > 9) - (v > 99), "vcpu", v);
	fprintf(out, "%*s\n", VALUE, s->n > 1 ? "all" : "vcpu 0");
	for (unsigned i = 0; i < N_ROWS; i++) {
		if (rows[i].counter)
			print_row(out, s, &rows[i]);
		else if (i + 1 == N_ROWS || find(&s->sum, rows[i + 1].counter))
			fprintf(out, "%s\n", rows[i].label);
	}
	/* What else KVM counts, under its own names, if it is not 0. Histograms are for the control socket. */
	for (unsigned i = 0; i < s->sum.n; i++) {
		const struct counter *c = &s->sum.counter[i];

		if (c->n == 1 && c->value[0] && !has_row(c->name))
			line(out, s, c->name, c->name, 0, NULL);
	}
	for (unsigned i = 0; i < s->vm.n; i++)
		if (s->vm.counter[i].n == 1 && s->vm.counter[i].value[0])
			fprintf(out, "  %-*s%*" PRIu64 "\n", LABEL - 2, s->vm.counter[i].name, VALUE,
				s->vm.counter[i].value[0]);
}

void stats_print(struct machine *m)
{
	struct snapshot s;
	char *text = NULL;
	size_t len;
	FILE *out;

	if (!m->stats || !snapshot(m->stats, &s)) {
		machine_message(m, "cannot read the statistics");
		return;
	}
	out = open_memstream(&text, &len);
	if (out) {
		print(out, &s);
		if (!fclose(out))
			console_text(m->console, text);
		free(text);
	}
	snapshot_free(&s);
}

/* ---- the same for programs */

static json_t *json_of(const struct counters *c)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < c->n; i++) {
		const struct counter *x = &c->counter[i];
		json_t *list;

		if (x->n == 1) {
			json_object_set_new(all, x->name, json_integer((json_int_t)x->value[0]));
			continue;
		}
		list = json_array();
		for (unsigned k = 0; k < x->n; k++)
			json_array_append_new(list, json_integer((json_int_t)x->value[k]));
		json_object_set_new(all, x->name, list);
	}
	return all;
}

json_t *stats_json(struct machine *m, struct vmm_error *err)
{
	json_t *vcpus = json_array(), *answer;
	struct snapshot s;

	if (!m->stats || !snapshot(m->stats, &s)) {
		json_decref(vcpus);
		vmm_fail(err, "cannot read the statistics");
		return NULL;
	}
	for (unsigned i = 0; i < s.n; i++)
		json_array_append_new(vcpus, json_of(&s.vcpu[i]));
	answer = json_pack("{so so so}", "all", json_of(&s.sum), "vm", json_of(&s.vm), "vcpus", vcpus);
	snapshot_free(&s);
	return answer;
}
