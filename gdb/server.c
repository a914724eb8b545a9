/* SPDX-License-Identifier: MIT */
/*
 * The gdb server: one thread that listens, talks to one debugger at a time, and turns its commands into operations of
 * the machine. All-stop: when one vcpu stops, all do. gdb manual, "Packets", "Stop Reply Packets", "General Query
 * Packets".
 */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GDB_SIGINT = 2, GDB_SIGTRAP = 5, GDB_SIGABRT = 6 }; /* gdb's own signal numbers */

struct gdb_server {
	struct target t;
	pthread_t thread;
	int listener, conn, wake; /* wake: eventfd, gdb_server_stop() */
	char *unix_path;	  /* to unlink, or NULL */
	bool held;		  /* nothing has run yet: the first debugger finds the vcpus at their entry */
	_Atomic int exit_status;

	/* server thread, while connected */
	bool no_ack, running, quit;
	bool features; /* gdb asked for swbreak and hwbreak in stop replies */
	unsigned cur;  /* vcpu of register and memory commands */
	bool *run;     /* per vcpu: resumed at the last vCont */
	bool *step;    /* per vcpu: stepping */
	struct range {
		uint64_t start, end;
	} * range; /* per vcpu: step on while PC is inside; empty: one step */
	struct packet_in in;
	struct packet_out out;
	char frame[2 * PACKET_MAX + 8]; /* the last one sent, for a '-' */
	size_t frame_len;
	char last_stop[128];
};

/* ---- sending */

/* Waits for a debugger that does not read, but not when the server is to stop. */
static bool wait_writable(struct gdb_server *s)
{
	struct pollfd p[2] = {{.fd = s->conn, .events = POLLOUT}, {.fd = s->wake, .events = POLLIN}};

	while (poll(p, 2, -1) < 0)
		;
	return p[0].revents;
}

static bool send_all(struct gdb_server *s, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(s->conn, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EINTR || (errno == EAGAIN && wait_writable(s))))
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static void send_packet(struct gdb_server *s, const char *payload, size_t len)
{
	s->frame_len = packet_frame(s->frame, payload, len);
	if (!send_all(s, s->frame, s->frame_len))
		s->quit = true;
}

static void reply(struct gdb_server *s, const char *text)
{
	send_packet(s, text, strlen(text));
}

static void reply_rc(struct gdb_server *s, int rc)
{
	char e[8];

	if (rc >= 0)
		return reply(s, "OK");
	snprintf(e, sizeof(e), "E%02x", -rc & 0xff);
	reply(s, e);
}

static void reply_out(struct gdb_server *s)
{
	send_packet(s, s->out.data, s->out.len);
}

/* Text on the debugger's console. */
static void console(struct gdb_server *s, const char *text)
{
	out_reset(&s->out);
	out_str(&s->out, "O");
	out_hex(&s->out, text, strlen(text));
	out_hex(&s->out, "\n", 1);
	reply_out(s);
}

/* ---- running and stopping */

static void report_stop(struct gdb_server *s, unsigned vcpu, unsigned sig, const char *extra)
{
	s->cur = vcpu;
	s->running = false;
	snprintf(s->last_stop, sizeof(s->last_stop), "T%02xthread:%x;%s", sig, vcpu + 1, extra);
	reply(s, s->last_stop);
}

static void drop_events(struct gdb_server *s)
{
	struct gdb_stop ev;

	while (s->t.ops->next_stop(s->t.opaque, &ev) > 0)
		;
}

static void resume(struct gdb_server *s)
{
	for (unsigned i = 0; i < s->t.n; i++)
		target_arm(&s->t, i, s->run[i] && s->step[i]);
	s->running = true;
	s->held = false;
	s->t.ops->resume(s->t.opaque, s->run);
}

/* Only this vcpu runs on: the others are still running, or are to stay. */
static void resume_one(struct gdb_server *s, unsigned vcpu)
{
	bool *only = calloc(s->t.n, sizeof(*only));

	if (!only)
		return report_stop(s, vcpu, GDB_SIGABRT, "");
	only[vcpu] = true;
	target_arm(&s->t, vcpu, s->step[vcpu]);
	s->t.ops->resume(s->t.opaque, only);
	free(only);
}

static bool in_range(struct gdb_server *s, unsigned vcpu)
{
	uint64_t pc = target_get_u64(&s->t, vcpu, reg_id_pc);

	return pc >= s->range[vcpu].start && pc < s->range[vcpu].end;
}

static void stop_watch(struct gdb_server *s, const struct gdb_stop *ev)
{
	static const char *const kind[] = {[BP_WRITE] = "watch", [BP_READ] = "rwatch", [BP_ACCESS] = "awatch"};
	const struct bp *b = bp_find_watch(&s->t, ev->far);
	char extra[64] = "";

	/* gdb looks the address up among its own watchpoints: name one inside. */
	if (b)
		snprintf(extra, sizeof(extra), "%s:%llx;", kind[b->type],
			 (unsigned long long)(ev->far < b->addr ? b->addr : ev->far));
	report_stop(s, ev->vcpu, GDB_SIGTRAP, extra);
}

/*
 * What a KVM_EXIT_DEBUG means. True if the debugger must hear of it; false if the vcpu is to go on at once (a BRK of
 * the guest's own, a step inside a range).
 */
static bool debug_event(struct gdb_server *s, const struct gdb_stop *ev)
{
	unsigned ec = (unsigned)(ev->hsr >> 26) & 0x3f;

	switch (ec) {
	case 0x32: return !(s->range[ev->vcpu].end && in_range(s, ev->vcpu));
	case 0x3c:
		if (bp_is_ours(&s->t, target_get_u64(&s->t, ev->vcpu, reg_id_pc)))
			return true;
		if (target_reinject_brk(&s->t, ev->vcpu, ev->hsr))
			return true;
		return s->step[ev->vcpu]; /* the exception entry counts as the step */
	default: return true;
	}
}

static void report_event(struct gdb_server *s, const struct gdb_stop *ev)
{
	unsigned ec = (unsigned)(ev->hsr >> 26) & 0x3f;

	if (ev->kind == GDB_STOP_FAULT) {
		console(s, ev->text);
		return report_stop(s, ev->vcpu, GDB_SIGABRT, "");
	}
	switch (ec) {
	case 0x30: return report_stop(s, ev->vcpu, GDB_SIGTRAP, s->features ? "hwbreak:;" : "");
	case 0x34: return stop_watch(s, ev);
	case 0x3c:
		if (bp_is_ours(&s->t, target_get_u64(&s->t, ev->vcpu, reg_id_pc)))
			return report_stop(s, ev->vcpu, GDB_SIGTRAP, s->features ? "swbreak:;" : "");
		return report_stop(s, ev->vcpu, GDB_SIGTRAP, "");
	default: return report_stop(s, ev->vcpu, GDB_SIGTRAP, "");
	}
}

static void machine_event(struct gdb_server *s)
{
	struct gdb_stop ev;

	while (s->running && s->t.ops->next_stop(s->t.opaque, &ev) > 0) {
		if (ev.kind == GDB_STOP_DEBUG && !debug_event(s, &ev)) {
			resume_one(s, ev.vcpu);
			continue;
		}
		s->t.ops->stop_all(s->t.opaque);
		report_event(s, &ev);
		drop_events(s); /* breakpoints and faults of other vcpus come again when they run */
	}
}

static void interrupt(struct gdb_server *s)
{
	struct gdb_stop ev;

	if (!s->running)
		return;
	s->t.ops->stop_all(s->t.opaque);
	if (s->t.ops->next_stop(s->t.opaque, &ev) > 0 && (ev.kind != GDB_STOP_DEBUG || debug_event(s, &ev)))
		report_event(s, &ev);
	else
		report_stop(s, s->cur, GDB_SIGINT, "");
	drop_events(s);
}

/* ---- commands */

static bool parse_thread(struct gdb_server *s, const char **p, int *vcpu)
{
	uint64_t id;

	if (!strncmp(*p, "-1", 2)) {
		*p += 2;
		*vcpu = -1;
		return true;
	}
	if (!hex_u64(p, &id) || id > s->t.n)
		return false;
	*vcpu = (int)id - 1; /* 0, "any", becomes -1 */
	return true;
}

static void cmd_stop_reason(struct gdb_server *s, const char *p)
{
	reply(s, s->last_stop);
}

static void cmd_read_regs(struct gdb_server *s, const char *p)
{
	out_reset(&s->out);
	for (unsigned n = 0; n < REG_SYS; n++) {
		uint8_t val[16] = {0};

		regs_get(&s->t, s->cur, n, val);
		out_hex(&s->out, val, regs_size(&s->t, n));
	}
	reply_out(s);
}

static void cmd_write_regs(struct gdb_server *s, const char *p)
{
	/* PSTATE first: it chooses the bank of SP */
	for (int pass = 0; pass < 2; pass++) {
		const char *q = p;

		for (unsigned n = 0; n < REG_SYS && *q; n++) {
			uint8_t val[16];
			int rc;

			if (!hex_bytes(&q, val, regs_size(&s->t, n)))
				return reply_rc(s, -EINVAL);
			if ((n == REG_CPSR) != (pass == 0))
				continue;
			rc = regs_set(&s->t, s->cur, n, val);
			if (rc < 0)
				return reply_rc(s, rc);
		}
	}
	reply(s, "OK");
}

static void cmd_read_reg(struct gdb_server *s, const char *p)
{
	uint8_t val[16] = {0};
	uint64_t n;
	int rc;

	if (!hex_u64(&p, &n) || n >= regs_count(&s->t))
		return reply_rc(s, -EINVAL);
	rc = regs_get(&s->t, s->cur, (unsigned)n, val);
	if (rc < 0)
		return reply_rc(s, rc);
	out_reset(&s->out);
	out_hex(&s->out, val, regs_size(&s->t, (unsigned)n));
	reply_out(s);
}

static void cmd_write_reg(struct gdb_server *s, const char *p)
{
	uint8_t val[16];
	uint64_t n;

	if (!hex_u64(&p, &n) || *p++ != '=' || n >= regs_count(&s->t) ||
	    !hex_bytes(&p, val, regs_size(&s->t, (unsigned)n)))
		return reply_rc(s, -EINVAL);
	reply_rc(s, regs_set(&s->t, s->cur, (unsigned)n, val));
}

static bool parse_addr_len(const char **p, uint64_t *addr, uint64_t *len)
{
	return hex_u64(p, addr) && *(*p)++ == ',' && hex_u64(p, len);
}

static void cmd_read_mem(struct gdb_server *s, const char *p)
{
	uint64_t addr, len;
	char buf[PACKET_MAX / 2];
	int rc;

	if (!parse_addr_len(&p, &addr, &len))
		return reply_rc(s, -EINVAL);
	if (len > sizeof(buf))
		len = sizeof(buf);
	/* a read may be answered in part: give what is there up to the first unmapped page */
	for (;;) {
		uint64_t page = (addr + len - 1) & ~0xfffull;

		rc = target_read(&s->t, s->cur, addr, buf, len);
		if (!rc || !len || page <= addr)
			break;
		len = page - addr;
	}
	if (rc)
		return reply_rc(s, rc);
	out_reset(&s->out);
	out_hex(&s->out, buf, len);
	reply_out(s);
}

static void cmd_write_mem(struct gdb_server *s, const char *p)
{
	uint64_t addr, len;
	char buf[PACKET_MAX / 2];

	if (!parse_addr_len(&p, &addr, &len) || *p++ != ':' || len > sizeof(buf) || !hex_bytes(&p, buf, len))
		return reply_rc(s, -EINVAL);
	reply_rc(s, target_write(&s->t, s->cur, addr, buf, len));
}

static void cmd_write_binary(struct gdb_server *s, const char *p)
{
	uint64_t addr, len;

	if (!parse_addr_len(&p, &addr, &len) || *p++ != ':' || len > (size_t)(s->in.data + s->in.len - p))
		return reply_rc(s, -EINVAL);
	reply_rc(s, target_write(&s->t, s->cur, addr, p, len));
}

static void cmd_breakpoint(struct gdb_server *s, const char *p)
{
	bool insert = s->in.data[0] == 'Z';
	uint64_t addr, len;
	unsigned type = (unsigned)(*p - '0');

	if (type > BP_ACCESS)
		return reply(s, "");
	p++;
	if (*p++ != ',' || !parse_addr_len(&p, &addr, &len))
		return reply_rc(s, -EINVAL);
	reply_rc(s, insert ? bp_insert(&s->t, s->cur, (enum bp_type)type, addr, len)
			   : bp_remove(&s->t, (enum bp_type)type, addr, len));
}

static void cmd_select(struct gdb_server *s, const char *p)
{
	char op = *p ? *p++ : 0;
	int vcpu;

	if ((op != 'g' && op != 'c') || !parse_thread(s, &p, &vcpu))
		return reply_rc(s, -EINVAL);
	if (op == 'g' && vcpu >= 0)
		s->cur = (unsigned)vcpu;
	reply(s, "OK");
}

static void cmd_alive(struct gdb_server *s, const char *p)
{
	int vcpu;

	reply_rc(s, parse_thread(s, &p, &vcpu) && vcpu >= 0 ? 0 : -EINVAL);
}

/* c [addr], s [addr] and C, S with a signal that means nothing to a machine: older clients only */
static void cmd_resume_simple(struct gdb_server *s, const char *p)
{
	char op = s->in.data[0];
	bool step = op == 's' || op == 'S';
	uint64_t v;

	if (op == 'C' || op == 'S') {
		if (!hex_u64(&p, &v))
			return reply_rc(s, -EINVAL);
		p += *p == ';';
	}
	if (*p && hex_u64(&p, &v))
		target_set_reg(&s->t, s->cur, reg_id_pc, &v);
	for (unsigned i = 0; i < s->t.n; i++) {
		s->run[i] = !step || i == s->cur;
		s->step[i] = step && i == s->cur;
		s->range[i] = (struct range){0, 0};
	}
	resume(s);
}

/* One action of vCont on the vcpus that no earlier action of the packet named. */
static void vcont_action(struct gdb_server *s, bool *named, int vcpu, char op, struct range range)
{
	for (unsigned i = 0; i < s->t.n; i++) {
		if (named[i] || (vcpu >= 0 && i != (unsigned)vcpu))
			continue;
		named[i] = true;
		s->run[i] = op != 't';
		s->step[i] = op == 's' || op == 'S' || op == 'r';
		s->range[i] = range;
	}
}

static void cmd_vcont(struct gdb_server *s, const char *p)
{
	bool *named = calloc(s->t.n, sizeof(*named)), any = false;

	if (!named)
		return reply_rc(s, -ENOMEM);
	memset(s->run, 0, s->t.n * sizeof(*s->run));
	memset(s->step, 0, s->t.n * sizeof(*s->step));
	while (*p == ';') {
		struct range range = {0, 0};
		char op = *++p;
		int vcpu = -1;
		uint64_t sig;

		if (!op || !strchr("cCsSrt", op))
			goto bad;
		p++;
		if ((op == 'C' || op == 'S') && !hex_u64(&p, &sig))
			goto bad;
		if (op == 'r' && (!hex_u64(&p, &range.start) || *p++ != ',' || !hex_u64(&p, &range.end)))
			goto bad;
		if (*p == ':') {
			p++;
			if (!parse_thread(s, &p, &vcpu))
				goto bad;
		}
		vcont_action(s, named, vcpu, op, range);
	}
	if (*p)
		goto bad;
	for (unsigned i = 0; i < s->t.n; i++)
		any |= s->run[i];
	free(named);
	if (!any)
		return reply(s, s->last_stop);
	return resume(s);
bad:
	free(named);
	reply_rc(s, -EINVAL);
}

static void cmd_v(struct gdb_server *s, const char *p)
{
	if (!strcmp(p, "Cont?"))
		return reply(s, "vCont;c;C;s;S;t;r");
	if (!strncmp(p, "Cont;", 5))
		return cmd_vcont(s, p + 4);
	if (!strncmp(p, "Kill", 4)) {
		reply(s, "OK");
		s->t.ops->kill(s->t.opaque);
		s->quit = true;
		return;
	}
	reply(s, "");
}

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
	memcpy(s->out.data + s->out.len, doc + off, n);
	s->out.len += n;
	reply_out(s);
}

static const char *power_state(struct gdb_server *s, unsigned vcpu)
{
	struct kvm_mp_state mp = {0};

	if (s->t.ops->vcpu_ioctl(s->t.opaque, vcpu, KVM_GET_MP_STATE, &mp))
		return "?";
	return mp.mp_state == KVM_MP_STATE_STOPPED ? "off" : mp.mp_state == KVM_MP_STATE_SUSPENDED ? "suspended" : "on";
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

/* ---- monitor commands: text in, text out */

struct monitor {
	const char *name, *help;
	void (*fn)(struct gdb_server *s, const char *arg, FILE *f);
};

static void mon_translate(struct gdb_server *s, const char *arg, FILE *f)
{
	uint64_t va, ipa, size;

	arg += !strncmp(arg, "0x", 2) ? 2 : 0;
	if (!hex_u64(&arg, &va))
		fprintf(f, "usage: monitor translate ADDRESS\n");
	else if (walk(&s->t, s->cur, va, &ipa, &size))
		fprintf(f, "%#llx is not mapped in the tables of this vcpu\n", (unsigned long long)va);
	else
		fprintf(f, "%#llx -> IPA %#llx (%#llx bytes to the end of the mapping)\n", (unsigned long long)va,
			(unsigned long long)ipa, (unsigned long long)size);
}

static void mon_reg(struct gdb_server *s, const char *arg, FILE *f)
{
	int n = regs_find(&s->t, arg);
	uint64_t v = 0;

	if (n < 0 || regs_get(&s->t, s->cur, (unsigned)n, &v) < 0)
		fprintf(f, "no system register named '%s' here; 'info registers system' lists them\n", arg);
	else
		fprintf(f, "%s = %#llx\n", arg, (unsigned long long)v);
}

static void mon_breakpoints(struct gdb_server *s, const char *arg, FILE *f)
{
	static const char *const kind[] = {"breakpoint", "hardware breakpoint", "write watchpoint", "read watchpoint",
					   "access watchpoint"};

	fprintf(f, "%u breakpoint and %u watchpoint comparators per vcpu\n", s->t.max_bps, s->t.max_wps);
	for (unsigned i = 0; i < s->t.n_bps; i++) {
		const struct bp *b = &s->t.bps[i];

		fprintf(f, "%#llx %s", (unsigned long long)b->addr, kind[b->type]);
		if (b->in_memory)
			fprintf(f, ", BRK at IPA %#llx", (unsigned long long)b->ipa);
		fputs("\n", f);
	}
}

static void mon_help(struct gdb_server *s, const char *arg, FILE *f);

static const struct monitor monitors[] = {
	{"help", "this list", mon_help},
	{"translate", "ADDRESS: the guest's stage 1 translation of it", mon_translate},
	{"reg", "NAME: a system register by name", mon_reg},
	{"breakpoints", "what is inserted now, and where", mon_breakpoints},
};

static void mon_help(struct gdb_server *s, const char *arg, FILE *f)
{
	for (size_t i = 0; i < sizeof(monitors) / sizeof(monitors[0]); i++)
		fprintf(f, "%-12s %s\n", monitors[i].name, monitors[i].help);
}

static void cmd_monitor(struct gdb_server *s, const char *p)
{
	char line[256], *text = NULL, *arg;
	size_t n = strlen(p) / 2, len;
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
	for (size_t i = 0; i < sizeof(monitors) / sizeof(monitors[0]); i++) {
		if (!strcmp(line, monitors[i].name)) {
			monitors[i].fn(s, arg, f);
			goto done;
		}
	}
	fprintf(f, "no command '%s'; try 'monitor help'\n", line);
done:
	fclose(f);
	out_reset(&s->out);
	out_hex(&s->out, text, len < PACKET_MAX / 2 ? len : PACKET_MAX / 2);
	free(text);
	reply_out(s);
}

/* ---- queries */

static void q_supported(struct gdb_server *s, const char *p)
{
	s->features = strstr(p, "swbreak+") && strstr(p, "hwbreak+");
	out_reset(&s->out);
	out_fmt(&s->out, "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;vContSupported+",
		PACKET_MAX);
	out_str(&s->out, ";swbreak+;hwbreak+");
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

static void q_features(struct gdb_server *s, const char *p)
{
	xfer(s, s->t.xml, p);
}

static void q_text(struct gdb_server *s, const char *text)
{
	reply(s, text);
}

static void q_noack(struct gdb_server *s, const char *p)
{
	reply(s, "OK");
	s->no_ack = true;
}

static void q_end(struct gdb_server *s, const char *p)
{
	q_text(s, "l");
}
static void q_attached(struct gdb_server *s, const char *p)
{
	q_text(s, "1");
}
static void q_symbol(struct gdb_server *s, const char *p)
{
	q_text(s, "OK");
}

struct query {
	const char *name; /* prefix; what follows is the argument */
	void (*fn)(struct gdb_server *s, const char *p);
};

static const struct query queries[] = {
	{"qSupported", q_supported},
	{"QStartNoAckMode", q_noack},
	{"qfThreadInfo", q_threads},
	{"qsThreadInfo", q_end},
	{"qThreadExtraInfo,", q_extra},
	{"qXfer:features:read:target.xml:", q_features},
	{"qXfer:threads:read::", xfer_threads},
	{"qRcmd,", cmd_monitor},
	{"qAttached", q_attached},
	{"qSymbol::", q_symbol},
	{"qC", q_current},
};

static void cmd_query(struct gdb_server *s, const char *p)
{
	const char *cmd = s->in.data;

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		size_t n = strlen(queries[i].name);

		if (!strncmp(cmd, queries[i].name, n) && (strcmp(queries[i].name, "qC") || !cmd[n]))
			return queries[i].fn(s, cmd + n);
	}
	reply(s, "");
}

static void cmd_detach(struct gdb_server *s, const char *p)
{
	reply(s, "OK");
	s->quit = true;
}

static void cmd_kill(struct gdb_server *s, const char *p)
{
	s->t.ops->kill(s->t.opaque);
	s->quit = true;
}

static void cmd_extended(struct gdb_server *s, const char *p)
{
	reply(s, ""); /* no extended mode: a machine is not restarted by its debugger */
}

typedef void command_fn(struct gdb_server *s, const char *p);
static command_fn *const commands[128] = {
	['?'] = cmd_stop_reason,
	['g'] = cmd_read_regs,
	['G'] = cmd_write_regs,
	['p'] = cmd_read_reg,
	['P'] = cmd_write_reg,
	['m'] = cmd_read_mem,
	['M'] = cmd_write_mem,
	['X'] = cmd_write_binary,
	['Z'] = cmd_breakpoint,
	['z'] = cmd_breakpoint,
	['H'] = cmd_select,
	['T'] = cmd_alive,
	['c'] = cmd_resume_simple,
	['C'] = cmd_resume_simple,
	['s'] = cmd_resume_simple,
	['S'] = cmd_resume_simple,
	['v'] = cmd_v,
	['q'] = cmd_query,
	['Q'] = cmd_query,
	['D'] = cmd_detach,
	['k'] = cmd_kill,
	['!'] = cmd_extended,
};

static void command(struct gdb_server *s)
{
	unsigned char c = (unsigned char)s->in.data[0];

	if (!s->no_ack && !send_all(s, "+", 1)) {
		s->quit = true;
		return;
	}
	if (s->running) /* all-stop: nothing but Ctrl-C is allowed now */
		return;
	if (c < 128 && commands[c])
		commands[c](s, s->in.data + 1);
	else
		reply(s, "");
}

static void input(struct gdb_server *s)
{
	uint8_t buf[4096];
	ssize_t n = recv(s->conn, buf, sizeof(buf), 0);

	if (n <= 0) {
		s->quit = n == 0 || (errno != EINTR && errno != EAGAIN);
		return;
	}
	for (ssize_t i = 0; i < n && !s->quit; i++) {
		switch (packet_feed(&s->in, buf[i])) {
		case PACKET_COMMAND: command(s); break;
		case PACKET_BAD:
			if (!s->no_ack)
				s->quit = !send_all(s, "-", 1);
			break;
		case PACKET_NACK:
			if (!s->no_ack && s->frame_len)
				s->quit = !send_all(s, s->frame, s->frame_len);
			break;
		case PACKET_INTERRUPT: interrupt(s); break;
		case PACKET_NONE:
		case PACKET_ACK: break;
		}
	}
}

/* ---- the thread */

/* One debugger, from connection to its end. True if the server is to stop. */
static bool session(struct gdb_server *s)
{
	bool stop = false;

	s->no_ack = s->running = s->quit = s->features = false;
	s->in.state = PACKET_IDLE;
	s->cur = 0;
	s->frame_len = 0;
	s->t.ops->attach(s->t.opaque);
	if (regs_init(&s->t)) {
		s->t.ops->detach(s->t.opaque);
		return false;
	}
	snprintf(s->last_stop, sizeof(s->last_stop), "T%02xthread:1;", GDB_SIGTRAP);
	while (!s->quit && !stop) {
		struct pollfd p[3] = {{.fd = s->conn, .events = POLLIN},
				      {.fd = s->wake, .events = POLLIN},
				      {.fd = s->running ? s->t.ops->fd(s->t.opaque) : -1, .events = POLLIN}};

		if (poll(p, 3, -1) < 0)
			continue;
		if (p[1].revents) {
			char end[16];

			snprintf(end, sizeof(end), "W%02x", s->exit_status & 0xff);
			reply(s, end);
			stop = true;
		} else if (p[2].revents) {
			machine_event(s);
		}
		if (!stop && p[0].revents)
			input(s);
	}
	if (s->running)
		s->t.ops->stop_all(s->t.opaque);
	target_disarm_all(&s->t);
	s->t.ops->detach(s->t.opaque);
	return stop;
}

static void *server_thread(void *arg)
{
	struct gdb_server *s = arg;
	bool stop = false;

	while (!stop) {
		struct pollfd p[2] = {{.fd = s->listener, .events = POLLIN}, {.fd = s->wake, .events = POLLIN}};

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents)
			break;
		s->conn = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		if (s->conn < 0)
			continue;
		stop = session(s);
		close(s->conn);
		s->conn = -1;
	}
	return NULL;
}

/* ---- start and stop */

static void server_free(struct gdb_server *s)
{
	if (s->listener >= 0)
		close(s->listener);
	if (s->wake >= 0)
		close(s->wake);
	if (s->unix_path)
		unlink(s->unix_path);
	target_close(&s->t);
	free(s->unix_path);
	free(s->run);
	free(s->step);
	free(s->range);
	free(s);
}

static int start_thread(struct gdb_server *s)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&s->thread, NULL, server_thread, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

struct gdb_server *gdb_server_start(const char *addr, const struct gdb_target_ops *ops, void *target, bool held,
				    char *error, size_t error_size)
{
	struct gdb_server *s = calloc(1, sizeof(*s));
	int rc;

	if (!s) {
		snprintf(error, error_size, "gdb server: out of memory");
		return NULL;
	}
	s->conn = s->wake = s->listener = -1;
	s->held = held;
	target_open(&s->t, ops, target);
	s->run = calloc(s->t.n, sizeof(*s->run));
	s->step = calloc(s->t.n, sizeof(*s->step));
	s->range = calloc(s->t.n, sizeof(*s->range));
	s->wake = eventfd(0, EFD_CLOEXEC);
	if (!s->run || !s->step || !s->range || s->wake < 0) {
		snprintf(error, error_size, "gdb server: %s", strerror(errno));
		goto fail;
	}
	s->listener = listen_on(addr, &s->unix_path, error, error_size);
	if (s->listener < 0)
		goto fail;
	rc = start_thread(s);
	if (rc) {
		snprintf(error, error_size, "gdb server: cannot start its thread: %s", strerror(rc));
		goto fail;
	}
	return s;
fail:
	server_free(s);
	return NULL;
}

void gdb_server_stop(struct gdb_server *s, int status)
{
	uint64_t one = 1;

	if (!s)
		return;
	s->exit_status = status;
	while (write(s->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(s->thread, NULL);
	server_free(s);
}
