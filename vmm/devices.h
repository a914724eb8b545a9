/* SPDX-License-Identifier: MIT */
/*
 * The smaller virtio devices, a file each: for each option a check of its argument (0, or -1 with a message), and the making
 * of the device (NULL with a message).
 */
#ifndef PAWL_VMM_DEVICES_H
#define PAWL_VMM_DEVICES_H

#include "virtio.h"

/* rng.c; no argument */
int rng_check(const char *arg, struct vmm_error *err);
struct virtio *rng_create(const struct virtio_host *host, const char *arg, struct vmm_error *err);

/* vconsole.c; "pty", "unix:PATH", "file:PATH" */
int vconsole_check(const char *arg, struct vmm_error *err);
struct virtio *vconsole_create(const struct virtio_host *host, const char *arg, struct vmm_error *err);

/* p9.c; "DIR[,ro][,tag=TAG]" */
int share_check(const char *arg, struct vmm_error *err);
struct virtio *share_create(const struct virtio_host *host, const char *arg, struct vmm_error *err);

/* vsock.c; "PATH[,cid=N]" */
int vsock_check(const char *arg, struct vmm_error *err);
struct virtio *vsock_create(const struct virtio_host *host, const char *arg, struct vmm_error *err);

/* balloon.c; "SIZE" */
int balloon_check(const char *arg, struct vmm_error *err);
struct virtio *balloon_create(const struct virtio_host *host, const char *arg, struct vmm_error *err);
/* Ask the guest for another size, as balloon_create() was given. Any thread. 0, or -1 with a message. */
int balloon_set(struct virtio *vd, const char *arg, struct vmm_error *err);
/* Bytes that the balloon is to have, and has. Any thread. */
void balloon_get(struct virtio *vd, uint64_t *wanted, uint64_t *actual);

#endif
