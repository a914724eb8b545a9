/* SPDX-License-Identifier: MIT */
/* Files of guest memory, for the descriptor kinds that make and use them: vm.c, memslot.c, dev.c. */
#ifndef PAWL_KVM_GUEST_MEMFD_H
#define PAWL_KVM_GUEST_MEMFD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <pawl/kvm.h>

struct file_ops;
struct guest_memfd;
struct memslot;
struct vm;

enum { GUEST_MEMFD_FLAGS = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED }; /* all that there are */

extern const struct file_ops guest_memfd_file_ops;

long guest_memfd_create(struct vm *vm, const struct kvm_create_guest_memfd *args); /* a descriptor, or -errno */

/* Under memslots->lock: 0, -EINVAL (another VM's, or too short), -EEXIST (some of it is bound already) */
int guest_memfd_check(const struct vm *vm, const struct guest_memfd *g, uint64_t offset, uint64_t size);
bool guest_memfd_can_back(const struct guest_memfd *g); /* a slot */
/* What a slot's guest will see. fd: a descriptor of g. NULL: no memory. munmap() undoes it */
uint8_t *guest_memfd_map_slot(const struct guest_memfd *g, int fd, uint64_t offset, uint64_t size);
void guest_memfd_bind(struct guest_memfd *g, struct memslot *s);
void guest_memfd_unbind(struct memslot *s); /* if it is bound to one that is still open */

/* mmap() of fd, a descriptor of g, is mmap() of this one, to be closed then, at *offset; or -errno. */
int guest_memfd_open_for_mmap(const struct guest_memfd *g, int fd, int flags, off_t *offset);
/* fallocate() of fd: 0, or -errno */
int guest_memfd_fallocate(const struct guest_memfd *g, int fd, int mode, off_t offset, off_t len);

#endif
