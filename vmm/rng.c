/* SPDX-License-Identifier: MIT */
/* The entropy device: VIRTIO 1.2, section 5.4. The host's getrandom(2), without a limit of the rate. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "devices.h"

enum { BYTES_MAX = 64 << 10 /* of one buffer; a driver takes what it gets */ };

static uint32_t fill(struct virtio *vd, struct virtq_chain *c)
{
	uint64_t want = c->in_bytes < BYTES_MAX ? c->in_bytes : BYTES_MAX, done = 0;
	uint8_t buf[256]; /* getrandom() gives this much at once, whatever happens */

	while (done < want) {
		ssize_t n = getrandom(buf, want - done < sizeof(buf) ? want - done : sizeof(buf), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		chain_write(c, done, buf, (size_t)n);
		done += (uint64_t)n;
	}
	explicit_bzero(buf, sizeof(buf));
	return (uint32_t)done;
}

static void rng_notify(struct virtio *vd, struct virtq *q)
{
	virtq_each(q, fill);
}

static void rng_free(struct virtio *vd)
{
	virtio_destroy(vd);
	free(vd);
}

static const struct virtio_ops rng_ops = {
	.name = "entropy",
	.id = VIRTIO_ID_ENTROPY,
	.n_queues = 1,
	.queue_size = 64,
	.notify = rng_notify,
	.free = rng_free,
};

int rng_check(const char *arg, struct vmm_error *err)
{
	return 0;
}

struct virtio *rng_create(const struct virtio_host *host, const char *arg, struct vmm_error *err)
{
	struct virtio *vd = calloc(1, sizeof(*vd));

	if (!vd || virtio_init(vd, &rng_ops, host, 0)) {
		vmm_fail(err, "cannot make the entropy device: %s", strerror(errno));
		free(vd);
		return NULL;
	}
	return vd;
}
