/* SPDX-License-Identifier: MIT */
/*
 * The memory balloon: VIRTIO 1.2, section 5.5, with free page reporting (5.5.6.7). Pages that the guest puts into the balloon,
 * or says are free, go back to the host. A host whose pages are larger gets one back when all of it is in the balloon.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices.h"

enum { QUEUE_INFLATE = 0, QUEUE_DEFLATE = 1, QUEUE_REPORTING = 2 };
enum { F_DEFLATE_ON_OOM = 2, F_PAGE_REPORTING = 5 };
enum { CONFIG_NUM_PAGES = 0, CONFIG_ACTUAL = 4, CONFIG_SIZE = 8 };
enum { PAGE_SHIFT = 12, PFNS_MAX = 1 << 16 /* of one buffer; drivers put some hundred */ };

struct balloon {
	struct virtio vd;
	uint64_t n_pages; /* of RAM */
	unsigned per_host_page;
	uint8_t *inside; /* a bit per page */
};

static bool is_inside(const struct balloon *b, uint64_t page)
{
	return b->inside[page / 8] >> page % 8 & 1;
}

static void set_inside(struct balloon *b, uint64_t page, bool inside)
{
	if (inside)
		b->inside[page / 8] |= (uint8_t)(1 << page % 8);
	else
		b->inside[page / 8] &= (uint8_t) ~(1 << page % 8);
}

static void release(const struct balloon *b, uint8_t *p, size_t len)
{
	/* Not being able to give it back harms nobody. */
	if (madvise(p, len, MADV_DONTNEED))
		errno = 0;
}

static void inflate(struct balloon *b, uint64_t page)
{
	uint64_t first = page / b->per_host_page * b->per_host_page;

	set_inside(b, page, true);
	for (unsigned i = 0; i < b->per_host_page; i++)
		if (first + i >= b->n_pages || !is_inside(b, first + i))
			return;
	release(b, b->vd.host->ram + (first << PAGE_SHIFT), (size_t)b->per_host_page << PAGE_SHIFT);
}

static void pages(struct balloon *b, struct virtq_chain *c, bool inside)
{
	uint64_t n = c->out_bytes / 4 < PFNS_MAX ? c->out_bytes / 4 : PFNS_MAX;
	uint32_t pfn[256];

	for (uint64_t done = 0; done < n; done += sizeof(pfn) / 4) {
		size_t got = chain_read(c, done * 4, pfn, sizeof(pfn)) / 4;

		for (size_t i = 0; i < got; i++) {
			uint64_t page = pfn[i] - (b->vd.host->ram_ipa >> PAGE_SHIFT);

			if (page >= b->n_pages)
				continue; /* not RAM: the guest's mistake, and nothing happens */
			if (inside)
				inflate(b, page);
			else
				set_inside(b, page, false);
		}
	}
}

static uint32_t on_inflate(struct virtio *vd, struct virtq_chain *c)
{
	pages((struct balloon *)vd, c, true);
	return 0;
}

static uint32_t on_deflate(struct virtio *vd, struct virtq_chain *c)
{
	pages((struct balloon *)vd, c, false);
	return 0;
}

/* The buffers themselves are the free memory. */
static uint32_t on_report(struct virtio *vd, struct virtq_chain *c)
{
	struct balloon *b = (struct balloon *)vd;
	uintptr_t size = (uintptr_t)b->per_host_page << PAGE_SHIFT;

	for (unsigned i = c->n_out; i < c->n_out + c->n_in; i++) {
		uintptr_t start = ((uintptr_t)c->iov[i].iov_base + size - 1) & ~(size - 1);
		uintptr_t end = ((uintptr_t)c->iov[i].iov_base + c->iov[i].iov_len) & ~(size - 1);

		if (start < end)
			release(b, (uint8_t *)start, end - start);
	}
	return 0;
}

static void balloon_notify(struct virtio *vd, struct virtq *q)
{
	virtq_each(q, q->index == QUEUE_INFLATE ? on_inflate : q->index == QUEUE_DEFLATE ? on_deflate : on_report);
}

static void balloon_config_write(struct virtio *vd, unsigned off, unsigned len, uint32_t val)
{
	if (off >= CONFIG_ACTUAL) /* by bytes if the driver likes */
		memcpy(vd->config + off, &val, len);
}

static void balloon_reset(struct virtio *vd)
{
	struct balloon *b = (struct balloon *)vd;

	memset(b->inside, 0, b->n_pages / 8 + 1);
	pthread_mutex_lock(&vd->config_lock);
	memset(vd->config + CONFIG_ACTUAL, 0, 4);
	pthread_mutex_unlock(&vd->config_lock);
}

static void balloon_free(struct virtio *vd)
{
	struct balloon *b = (struct balloon *)vd;

	virtio_destroy(vd);
	free(b->inside);
	free(b);
}

static const struct virtio_ops balloon_ops = {
	.name = "a balloon",
	.id = VIRTIO_ID_BALLOON,
	.n_queues = 3,
	.queue_size = 128,
	.notify = balloon_notify,
	.reset = balloon_reset,
	.config_write = balloon_config_write,
	.free = balloon_free,
};

/* The size that the balloon is to have: digits, and K, M or G. */
static int parse(const char *arg, uint64_t *pages_wanted, struct vmm_error *err)
{
	unsigned shift = 0;
	uint64_t n;
	char *end;

	*pages_wanted = 0;
	errno = 0;
	n = strtoull(arg, &end, 10);
	if (*end == 'K' || *end == 'M' || *end == 'G')
		shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 30;
	if (arg[0] < '0' || arg[0] > '9' || errno || (shift ? end[1] : *end) || n > UINT32_MAX)
		return vmm_fail(err, "'%.80s' is not a size such as 128M", arg);
	*pages_wanted = n << shift >> PAGE_SHIFT;
	return *pages_wanted > UINT32_MAX ? vmm_fail(err, "'%.80s' is too large", arg) : 0;
}

int balloon_check(const char *arg, struct vmm_error *err)
{
	uint64_t n;

	return parse(arg, &n, err);
}

/* The same, and the guest has more than that. */
static int parse_for(const struct virtio_host *host, const char *arg, uint64_t *wanted, struct vmm_error *err)
{
	if (parse(arg, wanted, err))
		return -1;
	if (*wanted << PAGE_SHIFT >= host->ram_size)
		return vmm_fail(err, "--balloon %.80s: the guest has no more than that", arg);
	return 0;
}

int balloon_set(struct virtio *vd, const char *arg, struct vmm_error *err)
{
	uint64_t wanted;
	uint32_t num_pages;

	if (parse_for(vd->host, arg, &wanted, err))
		return -1;
	num_pages = (uint32_t)wanted;
	virtio_config_set(vd, CONFIG_NUM_PAGES, &num_pages, 4);
	return 0;
}

void balloon_get(struct virtio *vd, uint64_t *wanted, uint64_t *actual)
{
	uint32_t n[2];

	pthread_mutex_lock(&vd->config_lock);
	memcpy(n, vd->config, sizeof(n));
	pthread_mutex_unlock(&vd->config_lock);
	*wanted = (uint64_t)n[0] << PAGE_SHIFT;
	*actual = (uint64_t)n[1] << PAGE_SHIFT;
}

struct virtio *balloon_create(const struct virtio_host *host, const char *arg, struct vmm_error *err)
{
	struct balloon *b;
	uint64_t wanted;
	uint32_t num_pages;

	if (parse_for(host, arg, &wanted, err))
		return NULL;
	b = calloc(1, sizeof(*b));
	if (b) {
		b->n_pages = host->ram_size >> PAGE_SHIFT;
		b->per_host_page = (unsigned)(sysconf(_SC_PAGESIZE) >> PAGE_SHIFT);
		b->inside = calloc(b->n_pages / 8 + 1, 1);
	}
	if (!b || !b->inside ||
	    virtio_init(&b->vd, &balloon_ops, host, 1u << F_DEFLATE_ON_OOM | 1u << F_PAGE_REPORTING)) {
		vmm_fail(err, "cannot make the balloon: %s", strerror(errno));
		if (b)
			free(b->inside);
		free(b);
		return NULL;
	}
	num_pages = (uint32_t)wanted;
	memcpy(b->vd.config + CONFIG_NUM_PAGES, &num_pages, 4);
	b->vd.config_size = CONFIG_SIZE;
	return &b->vd;
}
