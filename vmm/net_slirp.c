/* SPDX-License-Identifier: MIT */
/*
 * The user network: libslirp, a TCP/IP stack in this process that turns the
 * guest's connections into sockets of the host's. No privileges. The network
 * is 10.0.2.0/24 and fec0::/64: gateway and host .2, name server .3, the guest
 * .15 by DHCP.
 *
 * A guest with mergeable buffers and this device's MTU gets packets of up to 16 KiB, which is what makes it fast. They are not
 * larger, because a receiver's first window of 64 KiB has to hold several: libslirp sends nothing into a window that is less
 * than a segment and less than half of what it once was, and then waits for seconds. Segments from the guest come
 * whole, up to 64 KiB; libslirp takes any size.
 */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FORWARDS_MAX = 64, MTU = 16384 };

struct forward {
	bool udp;
	struct in_addr host, guest;
	uint16_t host_port, guest_port;
};

/* "A.B.C.D:PORT", ":PORT"; text is changed. False: something else. */
static bool parse_end(char *text, const char *address, struct in_addr *in, uint16_t *port)
{
	char *colon = strrchr(text, ':'), *end;
	unsigned long n;

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return false;
	n = strtoul(colon + 1, &end, 10);
	if (*end || !n || n > 65535)
		return false;
	*port = (uint16_t)n;
	*colon = 0;
	return inet_pton(AF_INET, text[0] ? text : address, in) == 1;
}

static int parse_forward(struct forward *f, const char *text, struct vmm_error *err)
{
	char buf[128], *minus;

	if (strlen(text) >= sizeof(buf))
		goto wrong;
	strcpy(buf, text);
	minus = strchr(buf, '-');
	if (!minus || (strncmp(buf, "tcp:", 4) && strncmp(buf, "udp:", 4)))
		goto wrong;
	f->udp = buf[0] == 'u';
	*minus = 0;
	if (!parse_end(buf + 4, "127.0.0.1", &f->host, &f->host_port) ||
	    !parse_end(minus + 1, "10.0.2.15", &f->guest, &f->guest_port))
		goto wrong;
	return 0;
wrong:
	return vmm_fail(err, "hostfwd: '%.150s' is not {tcp|udp}:[ADDRESS]:PORT-[ADDRESS]:PORT", text);
}

static int parse(struct forward *f, unsigned *n, bool *restricted, const char *options, struct vmm_error *err)
{
	*n = 0;
	*restricted = false;
	while (*options) {
		char word[160];
		size_t len = strcspn(options, ",");

		snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word) - 1), options);
		options += len + (options[len] == ',');
		if (!strcmp(word, "restrict")) {
			*restricted = true;
			continue;
		}
		if (strncmp(word, "hostfwd=", 8))
			return vmm_fail(err, "user: unknown option '%s'", word);
		if (*n == FORWARDS_MAX)
			return vmm_fail(err, "more than %d forwarded ports", FORWARDS_MAX);
		if (parse_forward(&f[(*n)++], word + 8, err))
			return -1;
	}
	return 0;
}

int net_slirp_check(const char *options, struct vmm_error *err)
{
	struct forward f[FORWARDS_MAX];
	bool restricted;
	unsigned n;

	return parse(f, &n, &restricted, options, err);
}

#ifdef HAVE_LIBSLIRP
#include <slirp/libslirp.h>

#include "library.h"

/* What is called of the library, which is loaded with the first network that wants it. */
#define FUNCTIONS(F) F(new) F(cleanup) F(add_hostfwd) F(input) F(handle_timer) F(pollfds_fill) F(pollfds_poll)
static struct {
#define FUNCTION(name) __typeof__(slirp_##name) *name;
	FUNCTIONS(FUNCTION)
#undef FUNCTION
} lib;

static bool load(const char **why)
{
#define FUNCTION(name) {"slirp_" #name, &lib.name},
	static const struct library_function functions[] = {FUNCTIONS(FUNCTION)};
#undef FUNCTION

	return library_load("libslirp.so.0", functions, sizeof(functions) / sizeof(functions[0]), why);
}

struct timer {
	struct timer *next;
	SlirpTimerId id;
	void *arg;
	int64_t at_ms; /* INT64_MAX: not set */
};

struct net_slirp {
	struct net_port port;
	Slirp *slirp;
	struct timer *timers;
	struct pollfds *set; /* during poll_fill and poll_done */
};

static int64_t clock_ns(void *arg)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- what libslirp calls */

static ssize_t on_packet(const void *buf, size_t len, void *arg)
{
	struct net_slirp *s = arg;
	struct net_header h = {.flags = NET_DATA_VALID}; /* it has not been over a wire */

	if (s->port.net)
		net_receive(s->port.net, &h, buf, len);
	return (ssize_t)len;
}

static void on_guest_error(const char *msg, void *arg) {}

static void *timer_new(SlirpTimerId id, void *cb_arg, void *arg)
{
	struct net_slirp *s = arg;
	struct timer *t = calloc(1, sizeof(*t));

	if (!t)
		abort(); /* the library's own allocations end the process, too */
	*t = (struct timer){s->timers, id, cb_arg, INT64_MAX};
	s->timers = t;
	return t;
}

static void timer_free(void *timer, void *arg)
{
	struct net_slirp *s = arg;
	struct timer **p = &s->timers;

	while (*p && *p != timer)
		p = &(*p)->next;
	if (*p)
		*p = (*p)->next;
	free(timer);
}

static void timer_mod(void *timer, int64_t at_ms, void *arg)
{
	((struct timer *)timer)->at_ms = at_ms;
}

static void on_fd(int fd, void *arg) {}

static void on_notify(void *arg)
{
	struct net_slirp *s = arg;

	if (s->port.net)
		net_wake(s->port.net);
}

static const SlirpCb callbacks = {
	.send_packet = on_packet,
	.guest_error = on_guest_error,
	.clock_get_ns = clock_ns,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = on_fd,
	.unregister_poll_fd = on_fd,
	.notify = on_notify,
	.timer_new_opaque = timer_new,
};

/* ---- what the device calls */

/*
 * IPv4, ARP, IPv6. No fragments of IPv4: what libslirp (4.7) does with them can
 * be led astray by a hostile guest. With this network's MTU nobody needs to
 * make any.
 */
static bool is_wanted(const uint8_t *frame, size_t len)
{
	unsigned type = (unsigned)frame[12] << 8 | frame[13];

	if (type == 0x0800) /* neither "more fragments" nor an offset */
		return len >= 14 + 20 && !((frame[20] << 8 | frame[21]) & 0x3fff);
	return type == 0x0806 || type == 0x86dd;
}

static void slirp_send(struct net_port *p, const struct net_header *h, uint8_t *frame, size_t len)
{
	struct net_slirp *s = (struct net_slirp *)p;

	if (!is_wanted(frame, len) || (h->flags & NET_NEEDS_CSUM && !net_checksum(h, frame, len)))
		return;
	lib.input(s->slirp, frame, (int)len);
}

static int add_poll(int fd, int events, void *arg)
{
	struct pollfds *set = arg;
	short want = 0;

	if (events & SLIRP_POLL_IN)
		want |= POLLIN;
	if (events & SLIRP_POLL_OUT)
		want |= POLLOUT;
	if (events & SLIRP_POLL_PRI)
		want |= POLLPRI;
	pollfds_add(set, fd, want);
	return (int)set->n - 1;
}

static int revents(int i, void *arg)
{
	struct pollfds *set = arg;
	short seen = i >= 0 && (unsigned)i < set->n ? set->fd[i].revents : 0;

	return (seen & POLLIN ? SLIRP_POLL_IN : 0) | (seen & POLLOUT ? SLIRP_POLL_OUT : 0) |
	       (seen & POLLPRI ? SLIRP_POLL_PRI : 0) | (seen & POLLERR ? SLIRP_POLL_ERR : 0) |
	       (seen & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static void slirp_poll_fill(struct net_port *p, struct pollfds *set)
{
	struct net_slirp *s = (struct net_slirp *)p;
	uint32_t timeout = set->timeout_ms < 0 ? UINT32_MAX : (uint32_t)set->timeout_ms;
	int64_t now = clock_ns(NULL) / 1000000;

	lib.pollfds_fill(s->slirp, &timeout, add_poll, set);
	for (struct timer *t = s->timers; t; t = t->next)
		if (t->at_ms != INT64_MAX && t->at_ms - now < (int64_t)timeout)
			timeout = t->at_ms > now ? (uint32_t)(t->at_ms - now) : 0;
	set->timeout_ms = timeout > INT32_MAX ? -1 : (int)timeout;
}

static void slirp_poll_done(struct net_port *p, struct pollfds *set)
{
	struct net_slirp *s = (struct net_slirp *)p;
	int64_t now = clock_ns(NULL) / 1000000;

	lib.pollfds_poll(s->slirp, 0, revents, set);
	for (struct timer *t = s->timers, *next; t; t = next) {
		next = t->next;
		if (t->at_ms <= now) {
			t->at_ms = INT64_MAX;
			lib.handle_timer(s->slirp, t->id, t->arg);
		}
	}
}

static void slirp_close(struct net_port *p)
{
	struct net_slirp *s = (struct net_slirp *)p;

	p->net = NULL;
	if (s->slirp)
		lib.cleanup(s->slirp);
	while (s->timers)
		timer_free(s->timers, s);
	free(s);
}

static const struct net_ops slirp_ops = {
	.send = slirp_send,
	.poll_fill = slirp_poll_fill,
	.poll_done = slirp_poll_done,
	.close = slirp_close,
};

struct net_port *net_slirp_open(const char *options, struct vmm_error *err)
{
	SlirpConfig config = {
		.version = 4, .in_enabled = true, .in6_enabled = true, .vprefix_len = 64, .if_mtu = MTU, .if_mru = MTU};
	struct net_slirp *s = calloc(1, sizeof(*s));
	struct forward forward[FORWARDS_MAX] = {0};
	const char *why;
	bool restricted;
	unsigned n;

	if (!load(&why)) {
		vmm_fail(err, "libslirp: %.200s", why);
		free(s);
		return NULL;
	}
	if (!s || parse(forward, &n, &restricted, options, err)) {
		if (!s)
			vmm_fail(err, "no memory for the user network");
		free(s);
		return NULL;
	}
	s->port = (struct net_port){
		.ops = &slirp_ops,
		.features = 1u << NET_F_CSUM | 1u << NET_F_GUEST_CSUM | 1u << NET_F_HOST_TSO4 | 1u << NET_F_HOST_TSO6,
		.mtu = MTU,
	};
	config.restricted = restricted;
	inet_pton(AF_INET, "10.0.2.0", &config.vnetwork);
	inet_pton(AF_INET, "255.255.255.0", &config.vnetmask);
	inet_pton(AF_INET, "10.0.2.2", &config.vhost);
	inet_pton(AF_INET, "10.0.2.15", &config.vdhcp_start);
	inet_pton(AF_INET, "10.0.2.3", &config.vnameserver);
	inet_pton(AF_INET6, "fec0::", &config.vprefix_addr6);
	inet_pton(AF_INET6, "fec0::2", &config.vhost6);
	inet_pton(AF_INET6, "fec0::3", &config.vnameserver6);
	s->slirp = lib.new(&config, &callbacks, s);
	if (!s->slirp) {
		vmm_fail(err, "cannot make the user network");
		goto fail;
	}
	for (unsigned i = 0; i < n; i++) {
		const struct forward *f = &forward[i];
		char text[INET_ADDRSTRLEN];

		if (lib.add_hostfwd(s->slirp, f->udp, f->host, f->host_port, f->guest, f->guest_port)) {
			vmm_fail(err, "cannot listen at %s port %s:%u: %s", f->udp ? "udp" : "tcp",
				 inet_ntop(AF_INET, &f->host, text, sizeof(text)), f->host_port, strerror(errno));
			goto fail;
		}
	}
	return &s->port;
fail:
	slirp_close(&s->port);
	return NULL;
}

#else

struct net_port *net_slirp_open(const char *options, struct vmm_error *err)
{
	vmm_fail(err, "--net user: this pawl is built without libslirp");
	return NULL;
}

#endif
