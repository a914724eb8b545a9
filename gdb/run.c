/* SPDX-License-Identifier: MIT */
/*
 * Running and stopping: vCont, what a vcpu's own stop means, stop replies in all-stop and in non-stop mode. gdb manual,
 * "Packets" (vCont), "Stop Reply Packets", "Remote Non-Stop", "Notification Packets".
 *
 * Much of it happens on the vcpu's own thread (run_goes_on): conditions that are false, steps inside a range, steps off
 * breakpoints that are not to stop. What is left for the server's thread are stops that a debugger must hear of, and the
 * step off a BRK in memory while other vcpus run, which they must not pass meanwhile.
 */
#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { GDB_SIGINT = 2, GDB_SIGTRAP = 5, GDB_SIGABRT = 6 }; /* gdb's own signal numbers */

enum { EC_BREAKPOINT = 0x30, EC_STEP = 0x32, EC_WATCHPOINT = 0x34, EC_BRK = 0x3c };

static unsigned ec_of(const struct gdb_stop *ev)
{
	return (unsigned)(ev->hsr >> 26) & 0x3f;
}

/* ---- on the vcpu's thread */

struct cond_env {
	struct target *t;
	unsigned vcpu;
};

static int cond_reg(void *arg, unsigned n, uint64_t *val)
{
	struct cond_env *e = arg;
	uint8_t bytes[16] = {0};
	int rc = regs_size(e->t, n) ? regs_get(e->t, e->vcpu, n, bytes) : -EINVAL;

	memcpy(val, bytes, 8);
	return rc;
}

static int cond_mem(void *arg, uint64_t addr, void *buf, size_t len)
{
	struct cond_env *e = arg;

	return target_read(e->t, e->vcpu, &view_virtual, addr, buf, len);
}

/* A condition that cannot be evaluated stops: gdb then evaluates it itself, and says what is wrong. */
static bool stops_for(struct target *t, unsigned vcpu, struct bp *b)
{
	struct cond_env e = {t, vcpu};
	struct agent_env env = {cond_reg, cond_mem, &e};

	b->hits++;
	for (unsigned i = 0; i < b->n_cond; i++) {
		uint64_t val;

		if (agent_eval(b->cond[i], &env, &val) != AGENT_OK || val)
			return true;
	}
	b->skips += b->n_cond != 0;
	return !b->n_cond;
}

/* b is the first of those at its address. */
static bool stops_at(struct target *t, unsigned vcpu, struct bp *b)
{
	const uint64_t addr = b->addr;

	for (; b < t->bps + t->n_bps && b->addr == addr; b++)
		if (!bp_is_watch(b->type) && stops_for(t, vcpu, b))
			return true;
	return false;
}

/* Run the instruction at PC with these out of the way. False: the other vcpus must be held for that. */
static bool step_off(struct target *t, unsigned vcpu, unsigned what, bool brk, uint64_t brk_ipa)
{
	struct vcpu_run *v = &t->vcpu[vcpu];

	if (brk && !v->brk_lifted) {
		if (t->n_running > 1 && !v->alone) {
			v->alone = true;
			return false;
		}
		bp_lift_brk(t, brk_ipa);
		v->brk_lifted = true;
		v->lift_ipa = brk_ipa;
	}
	v->lift |= what;
	target_arm(t, vcpu);
	return true;
}

static void lower(struct target *t, unsigned vcpu)
{
	struct vcpu_run *v = &t->vcpu[vcpu];

	if (v->brk_lifted)
		bp_lower_brk(t, v->lift_ipa);
	v->brk_lifted = false;
	v->lift = 0;
}

static bool in_range(struct target *t, unsigned vcpu)
{
	const struct vcpu_run *v = &t->vcpu[vcpu];
	uint64_t pc = target_get_u64(t, vcpu, reg_id_pc);

	return pc >= v->range.start && pc < v->range.end;
}

static bool stepped(struct target *t, unsigned vcpu)
{
	struct vcpu_run *v = &t->vcpu[vcpu];
	bool was_alone = v->alone;

	if (v->lift) {
		lower(t, vcpu);
		target_arm(t, vcpu);
	}
	if (was_alone) /* the server lets the others go on */
		return false;
	return !v->step || (v->range.end && in_range(t, vcpu));
}

static bool hit_brk(struct target *t, unsigned vcpu, uint64_t hsr)
{
	uint64_t pc = target_get_u64(t, vcpu, reg_id_pc), ipa;
	bool ours = bp_brk_is_ours(t, vcpu, pc, &ipa);
	struct bp *b = ours ? bp_find(t, vcpu, pc) : NULL;

	if (b)
		return !stops_at(t, vcpu, b) && step_off(t, vcpu, LIFT_BREAK, true, ipa);
	if (ours) /* the same instruction under an address that is no breakpoint */
		return step_off(t, vcpu, LIFT_BREAK, true, ipa);
	t->vcpu[vcpu].reinjected = true;
	if (target_reinject_brk(t, vcpu, hsr))
		return false;
	return !t->vcpu[vcpu].step; /* the exception entry counts as the step */
}

static bool hit_comparator(struct target *t, unsigned vcpu)
{
	struct bp *b = bp_find(t, vcpu, target_get_u64(t, vcpu, reg_id_pc));

	return b && !stops_at(t, vcpu, b) && step_off(t, vcpu, LIFT_BREAK, false, 0);
}

static bool hit_watch(struct target *t, unsigned vcpu, const struct gdb_stop *ev)
{
	struct bp *b = watch_find(t, vcpu, ev);

	return (!b || !stops_for(t, vcpu, b)) && step_off(t, vcpu, LIFT_WATCH, false, 0);
}

bool run_goes_on(void *server, const struct gdb_stop *ev)
{
	struct target *t = &((struct gdb_server *)server)->t;

	switch (ec_of(ev)) {
	case EC_STEP: return stepped(t, ev->vcpu);
	case EC_BRK: return hit_brk(t, ev->vcpu, ev->hsr);
	case EC_BREAKPOINT: return hit_comparator(t, ev->vcpu);
	case EC_WATCHPOINT: return hit_watch(t, ev->vcpu, ev);
	default: return false;
	}
}

/* ---- stopping and going on */

bool run_any(const struct gdb_server *s)
{
	return s->t.n_running;
}

static void count_running(struct target *t)
{
	t->n_running = 0;
	for (unsigned i = 0; i < t->n; i++)
		t->n_running += t->vcpu[i].running;
}

/* All vcpus are stopped: undo what was in the way of one of them. */
static void settle(struct gdb_server *s)
{
	for (unsigned i = 0; i < s->t.n; i++) {
		struct vcpu_run *v = &s->t.vcpu[i];

		if (v->lift) {
			lower(&s->t, i);
			v->owed |= !v->step;
		}
		v->alone = false;
	}
	s->alone = -1;
}

static void stop_machine(struct gdb_server *s)
{
	s->t.ops->stop(s->t.opaque, NULL);
	settle(s);
}

/* Those that run, but for events that are to be handled. */
static void resume_running(struct gdb_server *s)
{
	bool *run = calloc(s->t.n, sizeof(*run));

	if (!run)
		return;
	count_running(&s->t);
	for (unsigned i = 0; i < s->t.n; i++) {
		run[i] = s->t.vcpu[i].running && !s->t.vcpu[i].has_event;
		if (run[i])
			target_arm(&s->t, i);
	}
	s->held = false;
	s->t.ops->resume(s->t.opaque, run);
	free(run);
}

/* All vcpus are at their entry, and whatever was under way on them is over. Those that ran are still to be resumed. */
static void after_reset(struct gdb_server *s)
{
	unsigned lost;
	char text[160];

	s->t.ops->stop(s->t.opaque, NULL); /* those that an earlier event has let go */
	lost = bp_machine_reset(&s->t);
	for (unsigned i = 0; i < s->t.n; i++) {
		struct vcpu_run *v = &s->t.vcpu[i];

		v->owed |= v->lift != 0;
		v->lift = 0;
		v->brk_lifted = v->alone = v->has_event = v->reinjected = false;
	}
	s->alone = -1;
	s->t.kernel_ttbr1 = 0;
	s->t.kernel_look = s->t.kernel_wait = 0;
	s->t.n_spaces = 0;
	if (s->non_stop || !s->all_stop_running)
		return;
	snprintf(text, sizeof(text), "The machine has been reset.");
	if (lost)
		snprintf(text, sizeof(text),
			 "The machine has been reset; %u breakpoints are not in memory until the next stop.", lost);
	console(s, text);
}

/* True: the machine has been reset. */
static bool fetch_events(struct gdb_server *s)
{
	struct gdb_stop ev;
	bool was_reset = false;

	while (s->t.ops->next_stop(s->t.opaque, &ev) > 0) {
		struct vcpu_run *v = &s->t.vcpu[ev.vcpu];

		if (ev.kind == GDB_STOP_RESET) {
			after_reset(s);
			was_reset = true;
			continue;
		}
		v->event = ev;
		v->has_event = v->running;
	}
	return was_reset;
}

static void drop_events(struct gdb_server *s)
{
	fetch_events(s);
	for (unsigned i = 0; i < s->t.n; i++)
		s->t.vcpu[i].has_event = false;
}

/* ---- stop replies */

static void mark_stopped(struct gdb_server *s, unsigned vcpu, unsigned sig, const char *extra)
{
	struct vcpu_run *v = &s->t.vcpu[vcpu];

	v->running = v->has_event = v->reinjected = false;
	snprintf(v->stop, sizeof(v->stop), "T%02xthread:%x;%s", sig, vcpu + 1, extra);
	count_running(&s->t);
}

static int next_unreported(const struct gdb_server *s)
{
	for (unsigned i = 0; i < s->t.n; i++)
		if (s->t.vcpu[i].unreported)
			return (int)i;
	return -1;
}

static void notify_next(struct gdb_server *s)
{
	char text[160];

	if (s->notified >= 0)
		return; /* one at a time: vStopped fetches the next */
	s->notified = next_unreported(s);
	if (s->notified < 0)
		return;
	snprintf(text, sizeof(text), "Stop:%s", s->t.vcpu[s->notified].stop);
	send_notification(s, text);
}

static void report(struct gdb_server *s, unsigned vcpu, unsigned sig, const char *extra)
{
	mark_stopped(s, vcpu, sig, extra);
	target_note_space(&s->t, vcpu);
	kernel_note(&s->t);
	if (s->non_stop) {
		s->t.vcpu[vcpu].unreported = true;
		return notify_next(s);
	}
	for (unsigned i = 0; i < s->t.n; i++) {
		struct vcpu_run *v = &s->t.vcpu[i];

		v->owed |= v->running && v->step;
		v->running = false;
	}
	drop_events(s); /* breakpoints and faults of other vcpus come again when they run */
	count_running(&s->t);
	s->cur = s->stopped = vcpu;
	s->all_stop_running = false;
	reply(s, s->t.vcpu[vcpu].stop);
}

static void report_watch(struct gdb_server *s, const struct gdb_stop *ev)
{
	static const char *const kind[] = {[BP_WRITE] = "watch", [BP_READ] = "rwatch", [BP_ACCESS] = "awatch"};
	const struct bp *b = watch_find(&s->t, ev->vcpu, ev);
	char extra[64] = "";

	/* gdb looks the address up among its own watchpoints: name one inside. */
	if (b)
		snprintf(extra, sizeof(extra), "%s:%" PRIx64 ";", kind[b->type],
			 ev->far < b->addr || ev->far > b->addr + b->len - 1 ? b->addr : ev->far);
	report(s, ev->vcpu, GDB_SIGTRAP, extra);
}

static void report_event(struct gdb_server *s, const struct gdb_stop *ev)
{
	const struct bp *b;
	uint64_t pc;

	if (ev->kind == GDB_STOP_FAULT) {
		if (!s->non_stop) /* which has no packet for it; see `monitor exits` */
			console(s, ev->text);
		return report(s, ev->vcpu, GDB_SIGABRT, "");
	}
	switch (ec_of(ev)) {
	case EC_WATCHPOINT: return report_watch(s, ev);
	case EC_BREAKPOINT:
	case EC_BRK:
		pc = target_get_u64(&s->t, ev->vcpu, reg_id_pc);
		b = bp_find(&s->t, ev->vcpu, pc);
		/* A breakpoint from before the MMU was on: gdb has none at this address, and would take the reason for stale. */
		if (b && b->addr == pc && s->features)
			return report(s, ev->vcpu, GDB_SIGTRAP, b->type == BP_SOFT ? "swbreak:;" : "hwbreak:;");
		return report(s, ev->vcpu, GDB_SIGTRAP, "");
	default: return report(s, ev->vcpu, GDB_SIGTRAP, "");
	}
}

/* ---- events */

/* A vcpu has to step off a BRK in memory: all others stand still for that instruction. */
static void begin_alone(struct gdb_server *s, unsigned vcpu)
{
	struct vcpu_run *v = &s->t.vcpu[vcpu];
	bool *run = calloc(s->t.n, sizeof(*run));
	uint64_t ipa;

	s->t.ops->stop(s->t.opaque, NULL);
	fetch_events(s);
	for (unsigned i = 0; i < s->t.n;
	     i++) /* others that want the same are to ask again: their events are no stops */
		if (i != vcpu && s->t.vcpu[i].alone)
			s->t.vcpu[i].alone = s->t.vcpu[i].has_event = false;
	if (!run || !bp_brk_is_ours(&s->t, vcpu, target_get_u64(&s->t, vcpu, reg_id_pc), &ipa)) {
		free(run);
		settle(s);
		return resume_running(s);
	}
	v->alone = true;
	s->alone = (int)vcpu;
	bp_lift_brk(&s->t, ipa);
	v->brk_lifted = true;
	v->lift_ipa = ipa;
	v->lift |= LIFT_BREAK;
	target_arm(&s->t, vcpu);
	run[vcpu] = true;
	s->t.ops->resume(s->t.opaque, run);
	free(run);
}

/* The step that was alone is over (stepped() has put the BRK back): must a debugger hear of it? */
static bool alone_is_wanted(struct gdb_server *s, unsigned vcpu, const struct gdb_stop *ev)
{
	const struct vcpu_run *v = &s->t.vcpu[vcpu];

	if (ev->kind != GDB_STOP_DEBUG || ec_of(ev) != EC_STEP)
		return true;
	return v->step && !(v->range.end && in_range(&s->t, vcpu));
}

static void handle_event(struct gdb_server *s, unsigned vcpu)
{
	struct vcpu_run *v = &s->t.vcpu[vcpu];
	struct gdb_stop ev = v->event;

	v->has_event = false;
	if (s->alone == (int)vcpu) {
		bool wanted = alone_is_wanted(s, vcpu, &ev);

		settle(s);
		v->running = !wanted; /* else reported below, and must not move */
		if (!wanted || s->non_stop)
			resume_running(s);
		if (!wanted)
			return;
	} else if (v->alone) {
		return begin_alone(s, vcpu);
	}
	if (!s->non_stop)
		stop_machine(s);
	report_event(s, &ev);
}

void run_event(struct gdb_server *s)
{
	if (fetch_events(s) && run_any(s))
		resume_running(s);
	for (unsigned i = 0; i < s->t.n && run_any(s); i++) {
		/* while one steps alone the events of the others wait */
		if (s->t.vcpu[i].has_event && (s->alone < 0 || s->alone == (int)i))
			handle_event(s, i);
	}
	if (s->alone >= 0 || !run_any(s))
		return;
	for (unsigned i = 0; i < s->t.n; i++)
		if (s->t.vcpu[i].has_event)
			return run_event(s); /* one waited, or came meanwhile */
}

void run_pause(struct gdb_server *s)
{
	s->t.ops->stop(s->t.opaque, NULL);
	fetch_events(s);
	for (unsigned i = 0; i < s->t.n; i++) {
		struct vcpu_run *v = &s->t.vcpu[i];

		if (!v->has_event || !v->alone)
			continue;
		/* it waits for the others to stand still, and will ask again; or it has done its step meanwhile */
		v->has_event = s->alone == (int)i && alone_is_wanted(s, i, &v->event);
	}
	settle(s);
}

void run_go(struct gdb_server *s)
{
	for (unsigned i = 0; i < s->t.n; i++) {
		struct vcpu_run *v = &s->t.vcpu[i];

		/* What was hit may have been removed meanwhile; if not it is hit again. A step is not made twice. */
		if (v->has_event && v->event.kind == GDB_STOP_DEBUG && ec_of(&v->event) != EC_STEP && !v->reinjected)
			v->has_event = false;
	}
	resume_running(s);
	run_event(s);
}

void run_interrupt(struct gdb_server *s)
{
	if (s->non_stop || !s->all_stop_running)
		return;
	run_pause(s);
	for (unsigned i = 0; i < s->t.n; i++)
		if (s->t.vcpu[i].has_event) {
			struct gdb_stop ev = s->t.vcpu[i].event;

			return report_event(s, &ev);
		}
	report(s, s->stopped, GDB_SIGINT, "");
}

void run_attach(struct gdb_server *s)
{
	s->alone = s->notified = -1;
	s->cur = s->stopped = 0;
	s->non_stop = s->all_stop_running = s->asked = false;
	s->t.ops->attach(s->t.opaque, &s->hook);
	for (unsigned i = 0; i < s->t.n; i++) {
		memset(&s->t.vcpu[i], 0, sizeof(s->t.vcpu[i]));
		mark_stopped(s, i, GDB_SIGTRAP, "");
	}
	drop_events(s);
	s->t.kernel_ttbr1 = 0;
	s->t.kernel_look = s->t.kernel_wait = 0;
	kernel_note(&s->t);
	target_set_policy(&s->t, s->t.policies); /* what a person wants; `monitor policy` says so and changes it */
}

void run_detach(struct gdb_server *s)
{
	stop_machine(s);
	target_disarm_all(&s->t);
	s->t.ops->detach(s->t.opaque);
}

/* ---- commands */

void cmd_stop_reason(struct gdb_server *s, const char *p)
{
	if (!s->non_stop)
		return reply(s, s->t.vcpu[s->stopped].stop);
	for (unsigned i = 0; i < s->t.n; i++) /* all of them again */
		s->t.vcpu[i].unreported = !s->t.vcpu[i].running;
	s->notified = next_unreported(s);
	s->asked = s->notified >= 0;
	reply(s, s->notified < 0 ? "OK" : s->t.vcpu[s->notified].stop);
}

void cmd_vstopped(struct gdb_server *s, const char *p)
{
	if (s->notified >= 0)
		s->t.vcpu[s->notified].unreported = false;
	if (s->asked) {
		/* gdb 13 has a failed assertion if it hears of more than one vcpu before it is connected: notify of the others. */
		s->asked = false;
		s->notified = -1;
		reply(s, "OK");
		return notify_next(s);
	}
	s->notified = next_unreported(s);
	reply(s, s->notified < 0 ? "OK" : s->t.vcpu[s->notified].stop);
}

void q_nonstop(struct gdb_server *s, const char *p)
{
	if ((*p != '0' && *p != '1') || p[1])
		return reply_rc(s, -EINVAL);
	s->non_stop = *p == '1';
	for (unsigned i = 0; i < s->t.n; i++) /* both modes begin with all vcpus stopped */
		s->t.vcpu[i].running = false;
	count_running(&s->t);
	reply(s, "OK");
}

static void set_run(struct vcpu_run *v, bool step, uint64_t start, uint64_t end)
{
	v->reinjected = false;
	v->running = true;
	v->step = step;
	v->range.start = start;
	v->range.end = end;
	v->unreported = false;
}

/* c [addr], s [addr] and C, S with a signal that means nothing to a machine: older clients only */
void cmd_resume_simple(struct gdb_server *s, const char *p)
{
	char op = s->in.data[0];
	bool step = op == 's' || op == 'S';
	uint64_t v;

	if (s->non_stop)
		return reply_rc(s, -EINVAL);
	if (op == 'C' || op == 'S') {
		if (!hex_u64(&p, &v))
			return reply_rc(s, -EINVAL);
		p += *p == ';';
	}
	if (*p && hex_u64(&p, &v))
		target_set_reg(&s->t, s->cur, reg_id_pc, &v);
	for (unsigned i = 0; i < s->t.n; i++)
		if (!step || i == s->cur)
			set_run(&s->t.vcpu[i], step, 0, 0);
	s->stopped = s->cur;
	s->all_stop_running = true;
	if (step)
		policy_tell(s);
	resume_running(s);
}

struct action {
	char op; /* c, s, r, t; 0: none */
	uint64_t start, end;
};

static bool parse_vcont(struct gdb_server *s, const char *p, struct action *todo)
{
	while (*p == ';') {
		struct action a = {.op = *++p};
		uint64_t sig;
		int vcpu = -1;

		if (!a.op || !strchr("cCsSrt", a.op))
			return false;
		p++;
		if ((a.op == 'C' || a.op == 'S') && !hex_u64(&p, &sig))
			return false;
		if (a.op == 'r' && (!hex_u64(&p, &a.start) || *p++ != ',' || !hex_u64(&p, &a.end)))
			return false;
		if (*p == ':') {
			p++;
			if (!parse_thread(s, &p, &vcpu))
				return false;
		}
		for (unsigned i = 0; i < s->t.n; i++) /* the first action that names a vcpu is its action */
			if (!todo[i].op && (vcpu < 0 || i == (unsigned)vcpu))
				todo[i] = a;
	}
	return !*p;
}

void cmd_vcont(struct gdb_server *s, const char *p)
{
	struct action *todo = calloc(s->t.n, sizeof(*todo));
	bool any = false, step = false;

	if (!todo)
		return reply_rc(s, -ENOMEM);
	if (!parse_vcont(s, p, todo)) {
		free(todo);
		return reply_rc(s, -EINVAL);
	}
	if (s->non_stop)
		reply(s, "OK");
	for (unsigned i = 0; i < s->t.n; i++) {
		struct vcpu_run *v = &s->t.vcpu[i];

		switch (todo[i].op) {
		case 0: continue;
		case 't':
			if (v->running) { /* non-stop only; a step that is not over is dropped */
				v->owed |= v->step;
				report(s, i, 0, "");
			}
			continue;
		default: break;
		}
		if (v->running) /* non-stop: it has its orders */
			continue;
		set_run(v, todo[i].op != 'c' && todo[i].op != 'C', todo[i].start, todo[i].end);
		if (!any || v->step || (i == s->cur && !s->t.vcpu[s->stopped].step))
			s->stopped = i; /* whom a Ctrl-C is reported for */
		any = true;
		step |= v->step;
	}
	free(todo);
	count_running(&s->t);
	if (s->non_stop)
		return; /* command() lets them go */
	if (!any)
		return reply(s, s->t.vcpu[s->stopped].stop);
	s->all_stop_running = true;
	if (step)
		policy_tell(s);
	resume_running(s);
}

void cmd_vctrlc(struct gdb_server *s, const char *p)
{
	reply(s, "OK");
	if (!s->non_stop)
		return;
	for (unsigned i = 0; i < s->t.n; i++)
		if (s->t.vcpu[i].running) {
			s->t.vcpu[i].owed |= s->t.vcpu[i].step;
			report(s, i, GDB_SIGINT, "");
		}
}
