/* SPDX-License-Identifier: MIT */
/*
 * How answers.c asks, and says what was answered.
 */
#include "answers.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *err_name(int err)
{
	static const struct {
		int err;
		const char *name;
	} names[] = {{EPERM, "EPERM"},	 {ENOENT, "ENOENT"},	     {EINTR, "EINTR"},	   {EIO, "EIO"},
		     {ENXIO, "ENXIO"},	 {E2BIG, "E2BIG"},	     {ENOEXEC, "ENOEXEC"}, {EBADF, "EBADF"},
		     {EAGAIN, "EAGAIN"}, {ENOMEM, "ENOMEM"},	     {EFAULT, "EFAULT"},   {EBUSY, "EBUSY"},
		     {EEXIST, "EEXIST"}, {ENODEV, "ENODEV"},	     {EINVAL, "EINVAL"},   {ENOTTY, "ENOTTY"},
		     {ENOSPC, "ENOSPC"}, {EOPNOTSUPP, "EOPNOTSUPP"}, {ENOSYS, "ENOSYS"},   {EACCES, "EACCES"}};
	static char text[16];

	for (unsigned i = 0; i < COUNT(names); i++)
		if (names[i].err == err)
			return names[i].name;
	snprintf(text, sizeof(text), "%d", err);
	return text;
}

const char *section;

static int say_call(const char *fmt, va_list ap)
{
	int err = errno;

	printf("%s: ", section);
	vprintf(fmt, ap);
	return err;
}

long say(long ret, const char *fmt, ...)
{
	va_list ap;
	int err;

	__builtin_va_start(ap, fmt);
	err = say_call(fmt, ap);
	__builtin_va_end(ap);
	if (ret < 0)
		printf(" = %s\n", err_name(err));
	else
		printf(" = %#lx\n", ret);
	return ret;
}

/* A call whose success is a descriptor, or a value that means nothing: only that it succeeded is said. */
long done(long ret, const char *fmt, ...)
{
	va_list ap;
	int err;

	__builtin_va_start(ap, fmt);
	err = say_call(fmt, ap);
	__builtin_va_end(ap);
	printf(" = %s\n", ret < 0 ? err_name(err) : "ok");
	return ret;
}

int kvm, vm, vcpu;
uint8_t *ram;

long io(int fd, unsigned long request, const void *arg)
{
	return ioctl(fd, request, arg);
}

void vm_new(void)
{
	if (vcpu > 0)
		close(vcpu);
	if (vm > 0)
		close(vm);
	vcpu = -1;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
}

int vcpu_new(unsigned id)
{
	return ioctl(vm, KVM_CREATE_VCPU, id);
}

long init_with(int fd, uint32_t target, unsigned features)
{
	struct kvm_vcpu_init init = {.target = target, .features = {features}};

	return io(fd, KVM_ARM_VCPU_INIT, &init);
}

long slot(unsigned id, uint32_t flags, uint64_t gpa, uint64_t size, const void *hva)
{
	struct kvm_userspace_memory_region r = {.slot = id,
						.flags = flags,
						.guest_phys_addr = gpa,
						.memory_size = size,
						.userspace_addr = (uintptr_t)hva};

	return io(vm, KVM_SET_USER_MEMORY_REGION, &r);
}

void vm_with_vcpu(unsigned features)
{
	vm_new();
	slot(0, 0, 0x40000000, 0x10000, ram);
	vcpu = vcpu_new(0);
	init_with(vcpu, 5, features);
}

int device(unsigned type)
{
	struct kvm_create_device d = {.type = type};

	return io(vm, KVM_CREATE_DEVICE, &d) < 0 ? -1 : (int)d.fd;
}

long attr(int fd, unsigned long request, uint32_t group, uint64_t a, const void *addr)
{
	struct kvm_device_attr d = {.group = group, .attr = a, .addr = (uintptr_t)addr};

	return io(fd, request, &d);
}

long set64(int fd, uint32_t group, uint64_t a, uint64_t val)
{
	return attr(fd, SET, group, a, &val);
}

long set32(int fd, uint32_t group, uint64_t a, uint32_t val)
{
	return attr(fd, SET, group, a, &val);
}

int gicv3(void)
{
	int gic = device(KVM_DEV_TYPE_ARM_VGIC_V3);

	set32(gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, 64);
	set64(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, 0x8000000);
	set64(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, 0x80a0000);
	return gic;
}
