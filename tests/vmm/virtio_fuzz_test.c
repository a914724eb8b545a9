/* SPDX-License-Identifier: MIT */
/*
 * Hostile drivers: for each device random registers, queues and buffers in a fixed random order, over memory that another
 * thread changes meanwhile, mixed with requests that are nearly right, so that they get far. Nothing may crash, hang, or
 * write outside of the guest's memory; that is for the sanitizers to say, and for guard pages around the memory. After
 * each round the device must work again for a driver that resets it.
 *
 * usage: virtio_fuzz_test [ROUNDS [SEED [DEVICE]]]: without arguments, a short campaign with fixed seeds.
 */
#include "virtio_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "blk.h"
#include "devices.h"
#include "net.h"

enum { STEPS = 300, DEFAULT_ROUNDS = 40 };

static unsigned rounds = DEFAULT_ROUNDS;
static uint64_t first_seed = 0x9e3779b97f4a7c15;

static struct driver d;
static struct vmm_error error;
static char dir[] = "/tmp/pawl-fuzz-XXXXXX";
static int disk; /* memory that looks like a file */
static pid_t nbd_server;

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed * 0x2545f4914f6cdd1dull;
}

static uint64_t seed;
static uint64_t rnd(void)
{
	return next(&seed);
}

/* ---- the other vcpu: changes what the device looks at */

static atomic_bool other_runs;
static pthread_t other;

static void *other_vcpu(void *arg)
{
	uint64_t s = *(uint64_t *)arg | 1;
	volatile uint8_t *ram = d.ram;

	while (atomic_load(&other_runs)) {
		uint64_t r = next(&s);
		uint32_t area = r & 1 ? QUEUE_AREA : DATA_AREA;

		ram[area + (r >> 8) % 0x10000] = (uint8_t)(r >> 40);
		if (!(r & 0xff000000))
			usleep(10);
	}
	return NULL;
}

/* ---- memory with nothing around it */

static uint8_t *guarded(size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes + 2 * 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + 65536, bytes, PROT_READ | PROT_WRITE))
		abort();
	return p + 65536;
}

static void say_nothing(void *arg, const char *text) {}

/* ---- requests that are nearly right, by device */

static uint64_t likely_ipa(void)
{
	switch (rnd() % 16) {
	case 0: return rnd();
	case 1: return RAM_IPA + RAM_BYTES - rnd() % 64;
	case 2: return RAM_IPA - rnd() % 64;
	case 3: return RAM_IPA + QUEUE_AREA + rnd() % 0x10000;
	default: return RAM_IPA + DATA_AREA + rnd() % 0x10000;
	}
}

static uint32_t likely_len(void)
{
	switch (rnd() % 16) {
	case 0: return (uint32_t)rnd();
	case 1: return 0;
	case 2: return 1 << 20;
	case 3:
	case 4:
	case 5: return (uint32_t)(rnd() % 20);
	default: return (uint32_t)(rnd() % 5000);
	}
}

struct out { /* bytes of a request */
	uint8_t b[600];
	unsigned n;
};

static void o(struct out *r, uint64_t v, unsigned bytes)
{
	memcpy(r->b + r->n, &v, bytes);
	r->n += bytes;
}

static void make_blk(struct out *r)
{
	static const uint8_t types[] = {0, 1, 4, 8, 11, 13};

	o(r, rnd() % 8 ? types[rnd() % 6] : rnd(), 4);
	o(r, 0, 4);
	o(r, rnd() % 8 ? rnd() % 200 : rnd(), 8);
	for (unsigned i = 0; i < rnd() % 3; i++) { /* ranges */
		o(r, rnd() % 200, 8);
		o(r, rnd() % 8 ? rnd() % 32 : rnd(), 4);
		o(r, rnd() % 3, 4);
	}
	if (rnd() % 2)
		r->n = 16 + (unsigned)rnd() % 4 * 128;
}

static void make_net(struct out *r)
{
	static const uint8_t ether_types[][2] = {{8, 0}, {8, 6}, {0x86, 0xdd}};
	unsigned len = 14 + (unsigned)rnd() % 200, start;

	o(r, rnd() % 3, 1);
	o(r, rnd() % 5, 1);
	o(r, rnd() % 100, 2);
	o(r, rnd() % 2000, 2);
	o(r, rnd() % 8 ? 34 : rnd(), 2);
	o(r, rnd() % 8 ? 6 : rnd(), 2);
	o(r, 0, 2);
	start = r->n;
	for (unsigned i = 0; i < len; i++)
		o(r, rnd(), 1);
	memcpy(r->b + start + 12, ether_types[rnd() % 3], 2);
	if (r->b[start + 12] == 8 && !r->b[start + 13]) { /* an IPv4 header with a right checksum, most of the time */
		struct net_header h = {.csum_start = 0, .csum_offset = 10};
		static const uint8_t protocols[] = {1, 6, 17};
		uint8_t ip[20] = {0x45,
				  0,
				  (uint8_t)((len - 14) >> 8),
				  (uint8_t)(len - 14),
				  0,
				  1,
				  0,
				  0,
				  64,
				  protocols[rnd() % 3],
				  0,
				  0,
				  10,
				  0,
				  2,
				  15,
				  10,
				  0,
				  2,
				  (uint8_t)(2 + rnd() % 2)};

		if (!(rnd() % 8))
			ip[rnd() % 20] = (uint8_t)rnd();
		if (len >= 34) {
			net_checksum(&h, ip, 20);
			memcpy(r->b + start + 14, ip, 20);
		}
	} else if (r->b[start + 12] == 8) {
		static const uint8_t arp[] = {0, 1, 8, 0, 6, 4, 0, 1};

		memcpy(r->b + start + 14, arp, len >= 22 ? 8 : 0);
	}
}

static void o_name(struct out *r)
{
	static const char *const names[] = {"a", "b", "c", "sub", "..", ".", "", "a/b", "link", "deep"};
	const char *s = names[rnd() % 10];
	size_t len = strlen(s);

	o(r, rnd() % 16 ? len : rnd() % 300, 2);
	memcpy(r->b + r->n, s, len);
	r->n += (unsigned)len;
}

static void make_p9(struct out *r)
{
	static const uint8_t types[] = {8,  12, 14, 16, 18,  20,  22,  24,  26,	 30,  32,  40,	50,  52,  54,
					70, 72, 74, 76, 100, 102, 104, 108, 110, 110, 110, 116, 118, 120, 122};
	uint8_t type = types[rnd() % sizeof(types)];
	unsigned names = (unsigned)rnd() % 4;

	if (type == 100 && rnd() % 32)
		type = 110;
	o(r, 0, 4);
	o(r, type, 1);
	o(r, rnd(), 2);
	if (type != 100)
		o(r, rnd() % 6, 4);
	switch (type) {
	case 100:
		o(r, rnd() % 4 ? 8192 : rnd(), 4);
		o(r, 8, 2);
		memcpy(r->b + r->n, "9P2000.L", 8);
		r->n += 8;
		break;
	case 104: o(r, 0xffffffff, 4); break;
	case 110:
		o(r, rnd() % 6, 4);
		o(r, rnd() % 16 ? names : rnd(), 2);
		while (names--)
			o_name(r);
		break;
	case 12: o(r, rnd() % 4 ? rnd() % 3 : rnd(), 4); break;
	case 14:
	case 72:
	case 76:
		o_name(r);
		o(r, rnd() % 4 ? rnd() % 03000 : rnd(), 4);
		o(r, rnd() & 0777, 4);
		o(r, getgid(), 4);
		break;
	case 16:
		o_name(r);
		o_name(r);
		o(r, getgid(), 4);
		break;
	case 18:
		o_name(r);
		o(r, (rnd() & 017) << 12 | 0600, 4);
		o(r, rnd(), 8);
		o(r, getgid(), 4);
		break;
	case 74:
		o_name(r);
		o(r, rnd() % 6, 4);
		o_name(r);
		break;
	case 20:
	case 70:
		o(r, rnd() % 6, 4);
		o_name(r);
		break;
	case 26: /* no change of owner, which root could do */
		o(r, rnd() & 0x1f9, 4);
		o(r, 0700 | (rnd() & 077), 4);
		o(r, 0, 8);
		o(r, rnd() % 4 ? rnd() % 100000 : rnd(), 8);
		for (unsigned i = 0; i < 4; i++)
			o(r, rnd() % 2 ? rnd() % 1000000000 : rnd(), 8);
		break;
	case 40:
	case 116:
	case 118:
		o(r, rnd() % 8 ? rnd() % 100000 : rnd(), 8);
		o(r, rnd() % 8 ? rnd() % 400 : rnd(), 4);
		r->n += (unsigned)rnd() % 100;
		break;
	default: o(r, rnd(), 8); o(r, rnd(), 8);
	}
	memcpy(r->b, &r->n, 4);
	if (!(rnd() % 16))
		r->n -= (unsigned)rnd() % (r->n - 6);
}

static void make_vsock(struct out *r)
{
	o(r, rnd() % 16 ? 3 : rnd(), 8);
	o(r, rnd() % 16 ? 2 : rnd(), 8);
	o(r, rnd() % 4, 4);
	o(r, rnd() % 2 ? 5000 + rnd() % 2 : (1u << 30) + rnd() % 4, 4);
	o(r, rnd() % 8 ? rnd() % 300 : rnd(), 4);
	o(r, rnd() % 16 ? 1 : rnd(), 2);
	o(r, rnd() % 9, 2);
	o(r, rnd() % 4, 4);
	o(r, rnd() % 4 ? 65536 : rnd(), 4);
	o(r, rnd() % 4 ? 0 : rnd(), 4);
	r->n = 44 + (unsigned)rnd() % 300;
}

static void make_pages(struct out *r)
{
	for (unsigned i = 0; i < rnd() % 100; i++)
		o(r, rnd() % 8 ? (RAM_IPA >> 12) + rnd() % (RAM_BYTES >> 12) : rnd(), 4);
}

static void make_noise(struct out *r)
{
	r->n = (unsigned)rnd() % sizeof(r->b);
	for (unsigned i = 0; i < r->n; i++)
		r->b[i] = (uint8_t)rnd();
}

/* ---- devices */

static int peers[8] = {-1, -1, -1, -1, -1, -1, -1, -1}; /* other ends, of what has some */
static int listener = -1;

static void close_peers(void)
{
	for (unsigned i = 0; i < 8; i++) {
		if (peers[i] >= 0)
			close(peers[i]);
		peers[i] = -1;
	}
	if (listener >= 0)
		close(listener);
	listener = -1;
}

static int unix_socket(const char *suffix, struct sockaddr_un *sa)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	snprintf(sa->sun_path, sizeof(sa->sun_path), "%s/vsock%s", dir, suffix);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static struct virtio *make_blk_device(void)
{
	char arg[128];

	/* In memory: a flush costs nothing. */
	snprintf(arg, sizeof(arg), "/proc/self/fd/%d%s", disk, rnd() % 2 ? ",snapshot" : "");
	return blk_create(&d.host, arg, &error);
}

/* From another process, which main() starts; without it the file again. */
static struct virtio *make_nbd_device(void)
{
	char arg[128];

	if (nbd_server <= 0)
		return make_blk_device();
	snprintf(arg, sizeof(arg), "nbd+unix:///?socket=%s/nbd", dir);
	return blk_create(&d.host, arg, &error);
}

static struct virtio *make_slirp_device(void)
{
	return net_create(&d.host, "user,restrict", &error);
}

static struct virtio *make_stream_device(void)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv))
		abort();
	peers[0] = sv[1];
	return net_device(&d.host, net_stream_port(sv[0], "fuzz"), (const uint8_t *)"\x52\x54\0\0\0\1", &error);
}

static struct virtio *make_share_device(void)
{
	char arg[128];

	snprintf(arg, sizeof(arg), "%s/share", dir);
	return share_create(&d.host, arg, &error);
}

static struct virtio *make_console_device(void)
{
	return vconsole_create(&d.host, "pty", &error);
}

static struct virtio *make_vsock_device(void)
{
	struct sockaddr_un sa;
	char arg[128];

	listener = unix_socket("_5000", &sa);
	unlink(sa.sun_path);
	if (bind(listener, (struct sockaddr *)&sa, sizeof(sa)) || listen(listener, 16))
		abort();
	snprintf(arg, sizeof(arg), "%s/vsock", dir);
	return vsock_create(&d.host, arg, &error);
}

static struct virtio *make_rng_device(void)
{
	return rng_create(&d.host, NULL, &error);
}

static struct virtio *make_balloon_device(void)
{
	return balloon_create(&d.host, "1M", &error);
}

/* ---- what the other end does between two turns */

/* passt: frames, and now and then a length that is none */
static void poke_stream(void)
{
	uint8_t buf[256] = {0, 0, 0, (uint8_t)rnd()};
	size_t n = 4 + (rnd() % 8 ? buf[3] % 250 : rnd() % 250);

	if (!(rnd() % 300))
		memset(buf, 0xff, 4);
	if (send(peers[0], buf, n, MSG_NOSIGNAL) < 0 || recv(peers[0], buf, sizeof(buf), 0) < 0)
		errno = 0;
}

/* Servers that take what comes, clients that greet, both write, read, and go. */
static void poke_vsock(void)
{
	int *p = &peers[rnd() % 8];
	struct sockaddr_un sa;
	char buf[512];

	if (*p < 0 && rnd() % 2) {
		*p = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	} else if (*p < 0) {
		int n = snprintf(buf, sizeof(buf), "CONNECT %u%s", (unsigned)rnd() % 4, rnd() % 8 ? "\n" : "");

		*p = unix_socket("", &sa);
		if (connect(*p, (struct sockaddr *)&sa, sizeof(sa)) || send(*p, buf, (size_t)n, MSG_NOSIGNAL) < 0)
			errno = 0;
	} else if (!(rnd() % 8)) {
		close(*p);
		*p = -1;
	} else if (!(rnd() % 8)) {
		shutdown(*p, rnd() % 2 ? SHUT_WR : SHUT_RD);
	} else if (recv(*p, buf, sizeof(buf), 0) < 0 || send(*p, buf, rnd() % sizeof(buf), MSG_NOSIGNAL) < 0) {
		errno = 0;
	}
}

static void poke_nothing(void) {}

/* ---- what a driver does first */

static void send_first(const struct out *r)
{
	uint64_t data = RAM_IPA + DATA_AREA;
	struct part parts[2] = {{data, r->n, false}, {data + 0x8000, 4096, true}};

	memcpy(at(&d, data), r->b, r->n);
	memcpy(at(&d, data), &r->n, 4);
	offer(&d, 0, parts, 2);
	set_reg(&d, R_QUEUE_NOTIFY, 0);
	virtio_turn(d.vd, 0);
}

/* Version, attach as fid 0, and fid 1 for the root too */
static void first_p9(void)
{
	struct out r = {.n = 0};

	o(&r, 0, 4);
	o(&r, 100, 1);
	o(&r, 0, 2);
	o(&r, 8192, 4);
	o(&r, 8, 2);
	memcpy(r.b + r.n, "9P2000.L", 8);
	r.n += 8;
	send_first(&r);
	for (uint32_t fid = 0; fid < 2; fid++) {
		r.n = 0;
		o(&r, 0, 4);
		o(&r, 104, 1);
		o(&r, 0, 2);
		o(&r, fid, 4);
		o(&r, 0xffffffff, 4);
		o(&r, 0, 8);
		send_first(&r);
	}
}

static void first_nothing(void) {}

static const struct target {
	const char *name;
	struct virtio *(*make)(void);
	void (*first)(void);
	void (*request)(struct out *r);
	void (*poke)(void);
	unsigned reply_queue; /* whose buffers are mostly to be written */
} targets[] = {
	{"blk", make_blk_device, first_nothing, make_blk, poke_nothing, 99},
	{"nbd", make_nbd_device, first_nothing, make_blk, poke_nothing, 99},
	{"slirp", make_slirp_device, first_nothing, make_net, poke_nothing, 0},
	{"stream", make_stream_device, first_nothing, make_net, poke_stream, 0},
	{"share", make_share_device, first_p9, make_p9, poke_nothing, 99},
	{"console", make_console_device, first_nothing, make_noise, poke_nothing, 0},
	{"vsock", make_vsock_device, first_nothing, make_vsock, poke_vsock, 0},
	{"rng", make_rng_device, first_nothing, make_noise, poke_nothing, 0},
	{"balloon", make_balloon_device, first_nothing, make_pages, poke_nothing, 2},
};

static void restart(const struct target *t, uint64_t wanted)
{
	d.packed = rnd() % 2;
	driver_start(&d, wanted);
	t->first();
}

/* ---- one round */

/* A buffer with a request in front, and rubbish in places. */
static void offer_request(const struct target *t, unsigned q)
{
	uint64_t data = RAM_IPA + DATA_AREA + rnd() % 0x8000, answer = RAM_IPA + DATA_AREA + 0x8000 + rnd() % 0x4000;
	struct part parts[6];
	struct out r = {.n = 0};
	unsigned n = 0;

	if (q == t->reply_queue && rnd() % 8) {
		for (; n < 1 + rnd() % 3; n++)
			parts[n] = (struct part){answer + n * 0x1000, likely_len() % 5000, true};
	} else {
		unsigned cut;

		t->request(&r);
		memcpy(at(&d, data), r.b, r.n);
		cut = rnd() % 4 ? r.n : (unsigned)rnd() % (r.n + 1);
		parts[n++] = (struct part){data, cut, false};
		if (cut < r.n)
			parts[n++] = (struct part){data + cut, r.n - cut, false};
		for (; n < 3 + rnd() % 3; n++)
			parts[n] = (struct part){answer + n * 0x800, rnd() % 2 ? 512 : likely_len(), true};
	}
	if (!(rnd() % 16))
		parts[rnd() % n].ipa = likely_ipa();
	if (!(rnd() % 16))
		parts[rnd() % n].len = likely_len();
	if (!(rnd() % 32))
		parts[rnd() % n].write ^= true;
	if (d.data > RAM_IPA + RAM_BYTES - 0x10000)
		d.data = RAM_IPA + DATA_AREA + 0x10000;
	if (rnd() % 3)
		offer(&d, q, parts, n);
	else
		offer_indirect(&d, q, parts, n);
}

static void one_register(void)
{
	static const uint16_t regs[] = {0x000, 0x004, 0x008, 0x00c, 0x010, 0x014, 0x020, 0x024, 0x028,
					0x030, 0x034, 0x038, 0x03c, 0x040, 0x044, 0x050, 0x060, 0x064,
					0x080, 0x084, 0x090, 0x094, 0x0a0, 0x0a4, 0x0b0, 0x0c0, 0x0fc};
	uint64_t off = rnd() % 4 ? regs[rnd() % (sizeof(regs) / 2)] : 0x100 + rnd() % 0x100;
	unsigned len = 1u << rnd() % 3;
	uint32_t val = (uint32_t)(rnd() % 2 ? rnd() % 5 : rnd() % 2 ? likely_ipa() : rnd());

	if (off < 0x100)
		len = 4;
	off &= ~(uint64_t)(len - 1);
	if (rnd() % 2)
		d.vd->dev.ops->write(&d.vd->dev, off, len, val);
	else
		d.vd->dev.ops->read(&d.vd->dev, off, len);
}

static void one_word(void)
{
	uint32_t at_ = QUEUE_AREA + (uint32_t)(rnd() % d.vd->ops->n_queues * 0x4000 + rnd() % 0x2400);
	uint16_t val = (uint16_t)(rnd() % 2 ? rnd() % 70 : rnd());

	memcpy(d.ram + at_, &val, 2);
}

static void one_step(const struct target *t)
{
	unsigned q = (unsigned)rnd() % d.vd->ops->n_queues;

	switch (rnd() % 64) {
	case 0: one_register(); break;
	case 1:
	case 2: one_word(); break;
	case 3:
		if (!(rnd() % 8))
			restart(t, rnd());
		break;
	case 4:
		if (!(rnd() % 8))
			set_reg(&d, R_STATUS, (uint32_t)rnd() & 0xff);
		break;
	default:
		for (unsigned n = 1 + (unsigned)rnd() % 4; n; n--)
			offer_request(t, q);
		set_reg(&d, R_QUEUE_NOTIFY, q);
	}
	t->poke();
	virtio_turn(d.vd, 0);
	if (reg(&d, R_STATUS) & S_NEEDS_RESET || !(reg(&d, R_STATUS) & S_DRIVER_OK))
		restart(t, rnd() % 2 ? ~0ull : rnd());
}

static void one_round(const struct target *t)
{
	uint64_t other_seed = rnd();

	memset(&d, 0, sizeof(d));
	d.ram = guarded(RAM_BYTES);
	d.host = (struct virtio_host){.ram = d.ram,
				      .ram_ipa = RAM_IPA,
				      .ram_size = RAM_BYTES,
				      .legacy = !(rnd() % 4),
				      .message = say_nothing};
	d.data = RAM_IPA + DATA_AREA + 0x10000;
	d.vd = t->make();
	if (!d.vd)
		fail_msg("%s: %s", t->name, error.text);
	pthread_mutex_init(&d.vd->dev.lock, NULL);
	restart(t, ~0ull);
	/* Every other round, so that half of them repeat exactly. */
	atomic_store(&other_runs, rnd() % 2);
	if (atomic_load(&other_runs) && pthread_create(&other, NULL, other_vcpu, &other_seed))
		abort();
	else if (!atomic_load(&other_runs))
		other_seed = 0;
	for (unsigned i = 0; i < STEPS; i++)
		one_step(t);
	if (other_seed) {
		atomic_store(&other_runs, false);
		pthread_join(other, NULL);
	}
	d.vd->dev.ops->free(&d.vd->dev);
	munmap(d.ram - 65536, RAM_BYTES + 2 * 65536);
	close_peers();
}

static void fuzz(void **state)
{
	const struct target *t = *state;

	for (unsigned i = 0; i < rounds; i++) {
		seed = (first_seed + i) * 0x9e3779b97f4a7c15ull | 1;
		for (unsigned j = 0; j < 4; j++)
			rnd();
		one_round(t);
	}
}

static int make_files(void)
{
	char name[128];

	disk = memfd_create("disk", MFD_CLOEXEC);
	if (disk < 0 || ftruncate(disk, 100000))
		return -1;
	snprintf(name, sizeof(name), "%s/share", dir);
	if (mkdir(name, 0700))
		return -1;
	snprintf(name, sizeof(name), "%s/outside", dir);
	return mkdir(name, 0700);
}

static void start_nbd_server(void)
{
	char name[128];
	int status;

	snprintf(name, sizeof(name), "%s/nbd", dir);
	nbd_server = fork();
	if (!nbd_server) {
		execlp("nbdkit", "nbdkit", "-f", "--exit-with-parent", "-U", name, "memory", "100000", NULL);
		_exit(127);
	}
	while (nbd_server > 0 && access(name, F_OK)) {
		usleep(1000);
		if (waitpid(nbd_server, &status, WNOHANG) == nbd_server)
			nbd_server = 0; /* not installed */
	}
}

static void stop_nbd_server(void)
{
	char name[128];

	if (nbd_server <= 0)
		return;
	kill(nbd_server, SIGKILL);
	waitpid(nbd_server, NULL, 0);
	snprintf(name, sizeof(name), "%s/nbd", dir);
	unlink(name);
}

/* Nobody has got out of the share: what is beside it is as it was. */
static void nothing_outside_of_the_share_has_changed(void **state)
{
	char name[128];

	snprintf(name, sizeof(name), "%s/outside", dir);
	assert_int_equal(rmdir(name), 0); /* it is empty, and there */
	snprintf(name, sizeof(name), "ls -A %s | grep -qv -e '^share$' -e '^vsock' -e '^nbd$'", dir);
	assert_int_not_equal(system(name), 0);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[sizeof(targets) / sizeof(targets[0]) + 1];
	unsigned n = 0;
	char command[128];
	int rc;

	if (argc > 1)
		rounds = (unsigned)strtoul(argv[1], NULL, 0);
	if (argc > 2)
		first_seed = strtoull(argv[2], NULL, 0);
	if (!mkdtemp(dir) || make_files())
		return 1;
#ifdef HAVE_LIBNBD
	start_nbd_server();
#endif
	for (; n < sizeof(targets) / sizeof(targets[0]); n++)
		tests[n] = (struct CMUnitTest){targets[n].name, fuzz, NULL, NULL, (void *)(uintptr_t)&targets[n]};
	tests[n] = (struct CMUnitTest)cmocka_unit_test(nothing_outside_of_the_share_has_changed);
	if (argc > 3)
		cmocka_set_test_filter(argv[3]);
	rc = cmocka_run_group_tests_name("a hostile driver", tests, NULL, NULL);
	stop_nbd_server();
	snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", dir, dir);
	return system(command) || rc;
}
