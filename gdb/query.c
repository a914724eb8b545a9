/* SPDX-License-Identifier: MIT */
/*
 * General queries and sets: what the server can do, threads, documents read in pieces (qXfer), the offsets of the kernel. gdb
 * manual, "General Query Packets". The few packets that QEMU's users type by hand are understood too.
 */
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pawl/pawl.h>

/*
 * gdb's addresses are virtual, and which of them are mapped changes from one instruction to the next: all of it is RAM,
 * and what is not mapped answers with an error.
 */
static const char memory_map[] = "<?xml version=\"1.0\"?>\n"
				 "<!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map V1.0//EN\" "
				 "\"http://sourceware.org/gdb/gdb-memory-map.dtd\">\n"
				 "<memory-map>\n"
				 "<memory type=\"ram\" start=\"0x0\" length=\"0x8000000000000000\"/>\n"
				 "<memory type=\"ram\" start=\"0x8000000000000000\" length=\"0x8000000000000000\"/>\n"
				 "</memory-map>\n";

static void xfer(struct gdb_server *s, const char *doc, const char *p)
{
	size_t len = strlen(doc);
	uint64_t off, n;

	if (!hex_u64(&p, &off) || *p++ != ',' || !hex_u64(&p, &n))
		return reply_rc(s, -EINVAL);
	if (off > len)
		off = len;
	if (n > PACKET_MAX / 2)
		n = PACKET_MAX / 2; /* escapes may double it */
	out_reset(&s->out);
	if (n >= len - off) {
		n = len - off;
		out_str(&s->out, "l");
	} else {
		out_str(&s->out, "m");
	}
	out_bytes(&s->out, doc + off, n);
	reply_out(s);
}

static void xfer_threads(struct gdb_server *s, const char *p)
{
	char *doc = NULL;
	size_t len;
	FILE *f = open_memstream(&doc, &len);

	if (!f)
		return reply_rc(s, -ENOMEM);
	fputs("<?xml version=\"1.0\"?>\n<threads>\n", f);
	for (unsigned i = 0; i < s->t.n; i++)
		fprintf(f, "<thread id=\"%x\" core=\"%u\" name=\"vcpu%u\">%s</thread>\n", i + 1, i,
			s->t.ops->vcpu_id(s->t.opaque, i), power_state(s, i));
	fputs("</threads>\n", f);
	fclose(f);
	xfer(s, doc, p);
	free(doc);
}

static void xfer_memory_map(struct gdb_server *s, const char *p)
{
	xfer(s, memory_map, p);
}

static void xfer_features(struct gdb_server *s, const char *p)
{
	xfer(s, s->t.xml, p);
}

static void q_supported(struct gdb_server *s, const char *p)
{
	s->features = strstr(p, "swbreak+") && strstr(p, "hwbreak+");
	s->error_texts = strstr(p, "error-message+");
	out_reset(&s->out);
	out_fmt(&s->out, "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+", PACKET_MAX);
	out_str(&s->out, ";qXfer:memory-map:read+;vContSupported+;QNonStop+;ConditionalBreakpoints+");
	out_str(&s->out, ";swbreak+;hwbreak+;binary-upload+");
	reply_out(s);
}

static void q_threads(struct gdb_server *s, const char *p)
{
	out_reset(&s->out);
	out_str(&s->out, "m");
	for (unsigned i = 0; i < s->t.n; i++)
		out_fmt(&s->out, i ? ",%x" : "%x", i + 1);
	reply_out(s);
}

static void q_extra(struct gdb_server *s, const char *p)
{
	char text[64];
	int vcpu;

	if (!parse_thread(s, &p, &vcpu) || vcpu < 0)
		return reply_rc(s, -EINVAL);
	snprintf(text, sizeof(text), "vcpu%u %s", s->t.ops->vcpu_id(s->t.opaque, (unsigned)vcpu),
		 power_state(s, (unsigned)vcpu));
	out_reset(&s->out);
	out_hex(&s->out, text, strlen(text));
	reply_out(s);
}

static void q_current(struct gdb_server *s, const char *p)
{
	out_reset(&s->out);
	out_fmt(&s->out, "QC%x", s->cur + 1);
	reply_out(s);
}

/* The symbol file is taken to be the kernel that is mapped now: its first segment begins where the image does. */
static void q_offsets(struct gdb_server *s, const char *p)
{
	struct kernel k;

	if (!kernel_find(&s->t, &k) || !k.va)
		return reply(s, "");
	out_reset(&s->out);
	out_fmt(&s->out, "TextSeg=%llx", (unsigned long long)k.va);
	reply_out(s);
}

static void q_noack(struct gdb_server *s, const char *p)
{
	reply(s, "OK");
	s->no_ack = true;
}

static void q_end(struct gdb_server *s, const char *p)
{
	reply(s, "l");
}
static void q_attached(struct gdb_server *s, const char *p)
{
	reply(s, "1");
}
static void q_symbol(struct gdb_server *s, const char *p)
{
	reply(s, "OK");
}

/* ---- QEMU's own */

static void qemu_physical(struct gdb_server *s, const char *p)
{
	if ((*p != '0' && *p != '1') || p[1])
		return reply_rc(s, -EINVAL);
	s->t.view.kind = *p == '1' ? VIEW_PHYSICAL : VIEW_VIRTUAL;
	reply(s, "OK");
}

static void qemu_is_physical(struct gdb_server *s, const char *p)
{
	reply(s, s->t.view.kind == VIEW_PHYSICAL ? "1" : "0");
}

enum { SSTEP_ENABLE = 1, SSTEP_NOIRQ = 2 };

static void qemu_step_bits(struct gdb_server *s, const char *p)
{
	reply(s, s->t.policies & PAWL_DEBUG_HOLD_IRQS ? "ENABLE=1,NOIRQ=2" : "ENABLE=1");
}

static void qemu_step(struct gdb_server *s, const char *p)
{
	reply(s, s->t.policy & PAWL_DEBUG_HOLD_IRQS ? "0x3" : "0x1");
}

static void qemu_set_step(struct gdb_server *s, const char *p)
{
	unsigned policy = s->t.policy & ~PAWL_DEBUG_HOLD_IRQS;
	uint64_t bits;

	p += !strncmp(p, "0x", 2) ? 2 : 0;
	if (!hex_u64(&p, &bits) || *p)
		return reply_rc(s, -EINVAL);
	if (bits & SSTEP_NOIRQ)
		policy |= PAWL_DEBUG_HOLD_IRQS;
	reply_rc(s, target_set_policy(&s->t, policy));
}

struct query {
	const char *name; /* prefix; what follows is the argument */
	void (*fn)(struct gdb_server *s, const char *p);
	bool whole; /* nothing follows */
};

static const struct query queries[] = {
	{"qSupported", q_supported, false},
	{"QStartNoAckMode", q_noack, true},
	{"QNonStop:", q_nonstop, false},
	{"qfThreadInfo", q_threads, true},
	{"qsThreadInfo", q_end, true},
	{"qThreadExtraInfo,", q_extra, false},
	{"qXfer:features:read:target.xml:", xfer_features, false},
	{"qXfer:threads:read::", xfer_threads, false},
	{"qXfer:memory-map:read::", xfer_memory_map, false},
	{"qSearch:memory:", q_search, false},
	{"qCRC:", q_crc, false},
	{"qRcmd,", cmd_monitor, false},
	{"qOffsets", q_offsets, true},
	{"qAttached", q_attached, false},
	{"qSymbol::", q_symbol, true},
	{"qC", q_current, true},
	{"Qqemu.PhyMemMode:", qemu_physical, false},
	{"qqemu.PhyMemMode", qemu_is_physical, true},
	{"qqemu.sstepbits", qemu_step_bits, true},
	{"qqemu.sstep", qemu_step, true},
	{"Qqemu.sstep=", qemu_set_step, false},
};

void cmd_query(struct gdb_server *s, const char *p)
{
	const char *cmd = s->in.data;

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		size_t n = strlen(queries[i].name);

		if (!strncmp(cmd, queries[i].name, n) && (!queries[i].whole || !cmd[n]))
			return queries[i].fn(s, cmd + n);
	}
	reply(s, "");
}
