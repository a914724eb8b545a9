/* SPDX-License-Identifier: MIT */
/*
 * The public functions, and the system descriptor's ioctls (api.rst 4.1 to 4.5). Everything else is behind the descriptor kind's
 * own table: vm.c, vcpu.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pawl/pawl.h>

#include "core.h"
#include "guest_memfd.h"
#include "trace.h"

#define PUBLIC __attribute__((visibility("default")))

size_t host_page_size(void)
{
	static size_t size;

	if (!size)
		size = (size_t)sysconf(_SC_PAGESIZE);
	return size;
}

static long system_ioctl(void *object, unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_API_VERSION: return arg ? -EINVAL : KVM_API_VERSION;
	case KVM_CREATE_VM: return vm_create((uintptr_t)arg);
	case KVM_CHECK_EXTENSION: return vm_check_extension(NULL, (uintptr_t)arg);
	case KVM_GET_VCPU_MMAP_SIZE: return arg ? -EINVAL : (long)(2 * host_page_size());
	default: return -EINVAL;
	}
}

static void system_release(void *object) {}

const struct file_ops system_file_ops = {.name = "kvm", .ioctl = system_ioctl, .release = system_release};

static int result(long ret)
{
	if (ret >= 0)
		return (int)ret;
	errno = (int)-ret;
	return -1;
}

PUBLIC int pawl_open(int flags)
{
	trace_init();
	lint_init();
	return result(file_new(&system_file_ops, NULL, 0, flags & O_CLOEXEC));
}

PUBLIC int pawl_ioctl(int fd, unsigned long request, void *arg)
{
	struct file *f = file_get(fd);
	long ret;

	if (!f)
		return result(-EBADF);
	ret = file_ioctl(f, (uint32_t)request, arg);
	file_put(f);
	return result(ret);
}

/* The system call itself: mmap() of one of our descriptors would come back to pawl_mmap under the preload library. */
void *map_descriptor(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);
}

static bool covers_dirty_ring(const struct vm *vm, uint64_t offset, size_t length)
{
	uint64_t first = dirty_ring_offset(), end = first + vm->priv->dirty_ring_bytes;

	return vm->priv->dirty_ring_bytes && offset < end && length > 0 && offset + length > first;
}

/* kvm_run is the vcpu's own page; the page behind it is the VM's, the same for all its vcpus. */
static void *map_vcpu(struct vcpu *vcpu, void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	size_t page = host_page_size(), ring = KVM_COALESCED_MMIO_PAGE_OFFSET * page;
	char *p;

	if (covers_dirty_ring(vcpu->vm, (uint64_t)offset, length) && (flags & MAP_TYPE) == MAP_PRIVATE) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	p = map_descriptor(addr, length, prot, flags, fd, offset);

	if (p == MAP_FAILED || (uint64_t)offset > ring || ring - (size_t)offset >= length)
		return p;
	if (map_descriptor(p + (ring - (size_t)offset), page, prot, (flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED,
			   vcpu->vm->priv->coalesced_fd, 0) == MAP_FAILED) {
		int err = errno;

		munmap(p, length);
		errno = err;
		return MAP_FAILED;
	}
	return p;
}

struct mapping {
	void *addr, *result;
	size_t length;
	int prot, flags, fd;
	off_t offset;
};

static int map(void *arg)
{
	struct mapping *m = arg;

	m->result = map_descriptor(m->addr, m->length, m->prot, m->flags, m->fd, m->offset);
	return m->result == MAP_FAILED ? -errno : 0;
}

/* With MAP_FIXED, what was there may be a guest's memory. */
static void *map_memfd(struct mapping *m)
{
	uint64_t from = (uintptr_t)m->addr;
	int err = m->flags & MAP_FIXED ? vm_change_memory(from, from + m->length, map, m) : map(m);

	syscall(SYS_close, m->fd);
	if (err)
		errno = -err;
	return m->result;
}

PUBLIC void *pawl_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	struct mapping m = {.addr = addr, .length = length, .prot = prot, .flags = flags, .fd = -1, .offset = offset};
	struct file *f = file_get(fd);
	struct guest_memfd *memfd;
	struct vcpu *vcpu;
	void *p = MAP_FAILED;
	int err = 0;

	if (!f) {
		errno = EBADF;
		return MAP_FAILED;
	}
	vcpu = file_object(f, &vcpu_file_ops);
	memfd = file_object(f, &guest_memfd_file_ops);
	if (prot & PROT_EXEC) { /* on a kernel of today, all such files are on a mount without */
		err = EPERM;
	} else if (vcpu) {
		p = map_vcpu(vcpu, addr, length, prot, flags, fd, offset);
		err = p == MAP_FAILED ? errno : 0;
	} else if (memfd) {
		m.fd = guest_memfd_open_for_mmap(memfd, fd, flags, &m.offset);
		err = m.fd < 0 ? -m.fd : 0;
	} else {
		err = ENODEV;
	}
	file_put(f);
	if (m.fd >= 0) /* not in a call any more: this may stop vcpus */
		return map_memfd(&m);
	errno = err ? err : errno;
	return p;
}

PUBLIC int pawl_fallocate(int fd, int mode, off_t offset, off_t length)
{
	struct file *f = file_get(fd);
	struct guest_memfd *memfd;
	int ret;

	if (!f)
		return result(-EBADF);
	memfd = file_object(f, &guest_memfd_file_ops);
	ret = memfd ? guest_memfd_fallocate(memfd, fd, mode, offset, length) : -EOPNOTSUPP;
	file_put(f);
	return result(ret);
}

PUBLIC long pawl_lseek(int fd, long offset, int whence)
{
	struct file *f = file_get(fd);
	bool seeks;

	if (!f && !stats_is_fd(fd))
		return result(-EBADF);
	seeks = !f || !(file_object(f, &device_file_ops) || file_object(f, &guest_memfd_file_ops));
	if (f)
		file_put(f);
	if (whence < SEEK_SET || whence > SEEK_HOLE)
		return result(-EINVAL);
	if (!seeks)
		return result(-ESPIPE);
	return f ? 0 : lseek(fd, 0, SEEK_CUR);
}

PUBLIC int pawl_set_lint(int fd, void (*report)(void *arg, const struct pawl_finding *finding), void *arg)
{
	struct file *f = file_get(fd);
	struct vm *vm;

	if (!f)
		return result(-EBADF);
	vm = file_object(f, &vm_file_ops);
	if (vm)
		lint_set_report(vm, report, arg);
	file_put(f);
	return result(vm ? 0 : -EINVAL);
}

PUBLIC int pawl_change_memory(void *addr, size_t length, int (*change)(void *arg), void *arg)
{
	return vm_change_memory((uintptr_t)addr, (uintptr_t)addr + length, change, arg);
}

PUBLIC void pawl_forget_memory(void *addr, size_t length)
{
	uint64_t from = (uintptr_t)addr;

	vm_forget_memory(from, length > UINT64_MAX - from ? UINT64_MAX : from + length);
}

PUBLIC int pawl_close(int fd)
{
	return result(file_close(fd));
}

PUBLIC bool pawl_is_fd(int fd)
{
	return file_is(fd);
}
