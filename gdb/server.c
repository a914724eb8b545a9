/* SPDX-License-Identifier: MIT */
/*
 * The gdb server: one thread that listens, talks to one debugger at a time, and turns its commands into operations of
 * the machine. Here are the thread, the connection, and the commands that are short; the others have files by their
 * subject (server.h). gdb manual, "Packets".
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
	s->frame_len = packet_frame(s->frame, '$', payload, len);
	if (!send_all(s, s->frame, s->frame_len))
		s->quit = true;
}

void reply(struct gdb_server *s, const char *text)
{
	send_packet(s, text, strlen(text));
}

void reply_rc(struct gdb_server *s, int rc)
{
	char e[8];

	if (rc >= 0)
		return reply(s, "OK");
	snprintf(e, sizeof(e), "E%02x", -rc & 0xff);
	reply(s, e);
}

void reply_error(struct gdb_server *s, int rc, const char *text)
{
	if (rc >= 0 || !s->error_texts)
		return reply_rc(s, rc);
	out_reset(&s->out);
	out_fmt(&s->out, "E.%s", text);
	reply_out(s);
}

void reply_out(struct gdb_server *s)
{
	send_packet(s, s->out.data, s->out.len);
}

/* Not acknowledged, and not sent again. */
void send_notification(struct gdb_server *s, const char *text)
{
	char frame[512];

	if (!send_all(s, frame, packet_frame(frame, '%', text, strlen(text))))
		s->quit = true;
}

void console(struct gdb_server *s, const char *text)
{
	out_reset(&s->out);
	out_str(&s->out, "O");
	out_hex(&s->out, text, strlen(text));
	out_hex(&s->out, "\n", 1);
	reply_out(s);
}

/* ---- commands */

bool parse_thread(struct gdb_server *s, const char **p, int *vcpu)
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

bool parse_addr_len(const char **p, uint64_t *addr, uint64_t *len)
{
	return hex_u64(p, addr) && *(*p)++ == ',' && hex_u64(p, len);
}

/* Conditions of a Z packet: ;Xlen,bytes... False: malformed. Other lists, as commands, are not for us. */
static bool parse_conditions(const char *p, struct agent_expr ***cond, unsigned *n)
{
	*cond = NULL;
	*n = 0;
	if (*p != ';' || p[1] != 'X')
		return true;
	p++;
	while (*p == 'X') {
		struct agent_expr **more, *e;
		uint64_t len;

		p++;
		if (!hex_u64(&p, &len) || *p++ != ',' || !len || len > PACKET_MAX / 2)
			goto bad;
		more = realloc(*cond, (*n + 1) * sizeof(*more));
		if (!more)
			goto bad;
		*cond = more;
		e = malloc(sizeof(*e) + len);
		if (!e)
			goto bad;
		(*cond)[(*n)++] = e;
		e->len = (uint32_t)len;
		if (!hex_bytes(&p, e->code, len))
			goto bad;
	}
	if (!*p || *p == ';')
		return true;
bad:
	bp_free_conditions(*cond, *n);
	return false;
}

static void cmd_breakpoint(struct gdb_server *s, const char *p)
{
	bool insert = s->in.data[0] == 'Z';
	unsigned type = (unsigned)(*p - '0'), n_cond;
	struct agent_expr **cond;
	uint64_t addr, len;
	int rc;

	if (type > BP_ACCESS)
		return reply(s, "");
	p++;
	if (*p++ != ',' || !parse_addr_len(&p, &addr, &len))
		return reply_rc(s, -EINVAL);
	if (!insert)
		return reply_rc(s, bp_remove(&s->t, (enum bp_type)type, addr, len));
	if (!parse_conditions(p, &cond, &n_cond))
		return reply_rc(s, -EINVAL);
	rc = bp_insert(&s->t, s->cur, (enum bp_type)type, addr, len, cond, n_cond);
	reply_error(s, rc,
		    rc == -ENOSPC
			    ? "no debug comparator is free, and the address is not mapped yet or is to be watched "
			      "together with one that is too far away"
			    : "no breakpoint can be at that address");
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

const char *power_state(struct gdb_server *s, unsigned vcpu)
{
	struct kvm_mp_state mp = {0};

	if (s->t.ops->vcpu_ioctl(s->t.opaque, vcpu, KVM_GET_MP_STATE, &mp))
		return "?";
	return mp.mp_state == KVM_MP_STATE_STOPPED ? "off" : mp.mp_state == KVM_MP_STATE_SUSPENDED ? "suspended" : "on";
}

static void cmd_v(struct gdb_server *s, const char *p)
{
	if (!strcmp(p, "Cont?"))
		return reply(s, "vCont;c;C;s;S;t;r");
	if (!strncmp(p, "Cont;", 5))
		return cmd_vcont(s, p + 4);
	if (!strcmp(p, "Stopped"))
		return cmd_vstopped(s, p);
	if (!strcmp(p, "CtrlC"))
		return cmd_vctrlc(s, p);
	if (!strncmp(p, "Kill", 4)) {
		reply(s, "OK");
		s->t.ops->kill(s->t.opaque);
		s->quit = true;
		return;
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
	['?'] = cmd_stop_reason,   ['g'] = cmd_read_regs,     ['G'] = cmd_write_regs,
	['p'] = cmd_read_reg,	   ['P'] = cmd_write_reg,     ['m'] = cmd_read_mem,
	['M'] = cmd_write_mem,	   ['x'] = cmd_read_binary,   ['X'] = cmd_write_binary,
	['Z'] = cmd_breakpoint,	   ['z'] = cmd_breakpoint,    ['H'] = cmd_select,
	['T'] = cmd_alive,	   ['c'] = cmd_resume_simple, ['C'] = cmd_resume_simple,
	['s'] = cmd_resume_simple, ['S'] = cmd_resume_simple, ['v'] = cmd_v,
	['q'] = cmd_query,	   ['Q'] = cmd_query,	      ['D'] = cmd_detach,
	['k'] = cmd_kill,	   ['!'] = cmd_extended,
};

static void command(struct gdb_server *s)
{
	unsigned char c = (unsigned char)s->in.data[0];
	bool paused = s->non_stop && run_any(s);

	if (!s->no_ack && !send_all(s, "+", 1)) {
		s->quit = true;
		return;
	}
	if (paused) /* non-stop: whatever it is, it finds the machine at rest */
		run_pause(s);
	if (c < 128 && commands[c])
		commands[c](s, s->in.data + 1);
	else
		reply(s, "");
	if (s->non_stop && run_any(s) && !s->quit)
		run_go(s);
}

/* ---- the connection */

/* While all run, in all-stop mode, only Ctrl-C is looked for: a command that came early waits for the stop. */
static bool may_parse(const struct gdb_server *s)
{
	return !s->all_stop_running || s->in.state != PACKET_IDLE || s->inbuf[s->inpos] != '$';
}

static void parse(struct gdb_server *s)
{
	while (s->inpos < s->inlen && !s->quit) {
		if (!may_parse(s)) {
			char *ctrl_c = memchr(s->inbuf + s->inpos, 3, s->inlen - s->inpos);

			if (!ctrl_c)
				return;
			*ctrl_c = '+'; /* means nothing */
			run_interrupt(s);
			continue;
		}
		switch (packet_feed(&s->in, (uint8_t)s->inbuf[s->inpos++])) {
		case PACKET_COMMAND: command(s); break;
		case PACKET_BAD:
			if (!s->no_ack)
				s->quit = !send_all(s, "-", 1);
			break;
		case PACKET_NACK:
			if (!s->no_ack && s->frame_len)
				s->quit = !send_all(s, s->frame, s->frame_len);
			break;
		case PACKET_INTERRUPT: run_interrupt(s); break;
		case PACKET_NONE:
		case PACKET_ACK: break;
		}
	}
}

static void input(struct gdb_server *s)
{
	ssize_t n;

	memmove(s->inbuf, s->inbuf + s->inpos, s->inlen - s->inpos);
	s->inlen -= s->inpos;
	s->inpos = 0;
	n = recv(s->conn, s->inbuf + s->inlen, sizeof(s->inbuf) - s->inlen, 0);
	if (n <= 0)
		s->quit = n == 0 || (errno != EINTR && errno != EAGAIN);
	else
		s->inlen += (size_t)n;
}

/* One debugger, from connection to its end. True if the server is to stop. */
static bool session(struct gdb_server *s)
{
	bool stop = false;

	s->no_ack = s->quit = s->features = s->error_texts = s->told_policy = false;
	s->in.state = PACKET_IDLE;
	s->inpos = s->inlen = s->frame_len = 0;
	s->t.view = view_virtual;
	run_attach(s);
	if (regs_init(&s->t)) {
		run_detach(s);
		return false;
	}
	while (!s->quit && !stop) {
		bool full = s->inlen - s->inpos == sizeof(s->inbuf);
		struct pollfd p[3] = {{.fd = s->conn, .events = full ? 0 : POLLIN},
				      {.fd = s->wake, .events = POLLIN},
				      {.fd = s->t.ops->fd(s->t.opaque), .events = POLLIN}};

		if (poll(p, 3, -1) < 0)
			continue;
		if (p[1].revents) {
			char end[16];

			snprintf(end, sizeof(end), s->non_stop ? "Stop:W%02x" : "W%02x", s->exit_status & 0xff);
			if (s->non_stop)
				send_notification(s, end);
			else
				reply(s, end);
			stop = true;
			break;
		}
		if (p[2].revents)
			run_event(s);
		if (p[0].revents & POLLIN)
			input(s);
		else if (p[0].revents)
			s->quit = true;
		parse(s); /* also what had to wait for a stop */
	}
	run_detach(s);
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
	s->hook = (struct gdb_hook){run_goes_on, s};
	rc = target_open(&s->t, ops, target);
	s->wake = eventfd(0, EFD_CLOEXEC);
	if (rc || s->wake < 0) {
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
