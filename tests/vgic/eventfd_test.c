/* SPDX-License-Identifier: MIT */
/* KVM_IRQFD, KVM_IOEVENTFD, KVM_SET_GSI_ROUTING, KVM_IRQ_LINE, KVM_SIGNAL_MSI. The service thread is a function call
 * here. */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"

enum { SPI = 40, GSI = SPI - 32, SPURIOUS = 1023, MMIO = 0x0a000000 };

static struct fake *start(unsigned vcpus)
{
	struct fake *f = fake_new(vcpus);

	assert_int_equal(eventfd_vm_init(&f->vm), 0);
	return f;
}

/* With a GICv3 and a guest that takes SPI 40, level. */
static struct fake *machine(void)
{
	struct fake *f = start(1);
	uint64_t dist = DIST, redist = REDIST;

	assert_int_equal(vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_V3), 0);
	attr_set(f, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist);
	attr_set(f, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist);
	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), 0);
	assert_int_equal(vgic_map_resources(&f->vm), 0);
	all_levels(f);
	bus_write(f, 0, DIST, 4, 2);
	bus_write(f, 0, DIST + 0x104, 4, 3 << 8);
	icc_write(f, 0, ICC_PMR, 0xf0);
	icc_write(f, 0, ICC_IGRPEN1, 1);
	return f;
}

static void end(struct fake *f)
{
	eventfd_vm_destroy(&f->vm);
	fake_free(f);
}

static void make_edge(struct fake *f)
{
	bus_write(f, 0, DIST + 0xc08, 4, 2u << 16);
}

static int irqfd(struct fake *f, int fd, unsigned gsi, unsigned flags, int resample)
{
	struct kvm_irqfd a = {.fd = (uint32_t)fd, .gsi = gsi, .flags = flags, .resamplefd = (uint32_t)resample};

	return irqfd_ioctl(&f->vm, &a);
}

/* The client signals, and the service thread sees it. */
static void signal_fd(struct fake *f, int fd)
{
	eventfd_write(fd, 1);
	f->fd_fn(f->fd_arg, f->fd);
}

static uint64_t count(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void an_eventfd_is_one_irqfds_in_whatever_vm(void **state)
{
	struct fake *a = machine(), *b = machine();
	int fd = eventfd(0, 0), other = dup(fd);

	assert_int_equal(irqfd(a, fd, GSI, 0, 0), 0);
	assert_int_equal(irqfd(b, other, GSI, 0, 0), -EBUSY);
	assert_int_equal(irqfd(a, fd, GSI, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	assert_int_equal(irqfd(b, other, GSI, 0, 0), 0);
	assert_int_equal(irqfd(a, fd, GSI, 0, 0), -EBUSY);
	end(b); /* with its irqfd */
	assert_int_equal(irqfd(a, fd, GSI, 0, 0), 0);
	end(a);
	close(fd);
	close(other);
}

/* In a child: what an irqfd of a VM of its own gets. */
static int irqfd_of_another_process(int fd)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(-irqfd(machine(), fd, GSI, 0, 0));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void an_eventfd_is_one_irqfds_in_whatever_process(void **state)
{
	struct fake *f = machine();
	int fd = eventfd(0, 0), other = eventfd(0, 0);

	assert_int_equal(irqfd(f, fd, GSI, 0, 0), 0);
	assert_int_equal(irqfd_of_another_process(fd), -EBUSY);
	assert_int_equal(irqfd_of_another_process(other), 0);
	assert_int_equal(irqfd(f, other, GSI + 1, 0, 0), 0); /* the process is gone, and its VM with it */
	assert_int_equal(irqfd(f, fd, GSI, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	assert_int_equal(irqfd_of_another_process(fd), 0);
	end(f);
	close(fd);
	close(other);
}

static void irqfd_errors(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK), fd2, file = open("/dev/null", O_RDONLY);
	struct fake *f = start(1);

	assert_int_equal(irqfd(f, fd, GSI, 0, 0), -EAGAIN);
	end(f);
	f = machine();
	assert_int_equal(irqfd(f, fd, GSI, 4, 0), -EINVAL);
	assert_int_equal(irqfd(f, -1, GSI, 0, 0), -EBADF);
	assert_int_equal(irqfd(f, file, GSI, 0, 0), -EINVAL);
	assert_int_equal(irqfd(f, fd, GSI, KVM_IRQFD_FLAG_RESAMPLE, -1), -EBADF);
	assert_int_equal(irqfd(f, fd, GSI, 0, 0), 0);
	fd2 = dup(fd);
	assert_int_equal(irqfd(f, fd2, GSI + 1, 0, 0), -EBUSY);			 /* the same eventfd */
	assert_int_equal(irqfd(f, fd2, GSI + 1, KVM_IRQFD_FLAG_DEASSIGN, 0), 0); /* another GSI: no match, no error */
	assert_int_equal(irqfd(f, fd, GSI, 0, 0), -EBUSY);
	assert_int_equal(irqfd(f, fd2, GSI, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	assert_int_equal(irqfd(f, fd, GSI, 0, 0), 0);
	assert_int_equal(irqfd(f, -1, GSI, KVM_IRQFD_FLAG_DEASSIGN, 0), -EBADF);
	end(f);
	close(fd);
	close(fd2);
	close(file);
}

static void an_irqfd_is_an_edge(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct fake *f = machine();

	make_edge(f);
	assert_int_equal(irqfd(f, fd, GSI, 0, 0), 0);
	close(fd);
	fd = dup(f->fd); /* it lives on without the client's descriptor */
	f->fd_fn(f->fd_arg, f->fd);
	assert_int_equal(lines(f, 0), 0); /* nothing was signalled */
	signal_fd(f, fd);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), SPI);
	icc_write(f, 0, ICC_EOIR1, SPI);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), SPURIOUS);
	assert_int_equal(count(fd), 0);
	close(fd);
	end(f);
}

static void an_irqfd_without_resampler_leaves_a_level_up(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct fake *f = machine();

	assert_int_equal(irqfd(f, fd, GSI, 0, 0), 0);
	signal_fd(f, fd);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), SPI);
	icc_write(f, 0, ICC_EOIR1, SPI);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), SPI); /* the client has not lowered it */
	assert_int_equal(vgic_set_irq(&f->vm, NULL, SPI, false, NULL), 0);
	icc_write(f, 0, ICC_EOIR1, SPI);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), SPURIOUS);
	close(fd);
	end(f);
}

static void a_blocking_eventfd_that_somebody_else_read_does_not_block_us(void **state)
{
	int fd = eventfd(0, 0);
	struct fake *f = machine();

	make_edge(f);
	assert_int_equal(irqfd(f, fd, GSI, 0, 0), 0);
	f->fd_fn(f->fd_arg, f->fd);
	assert_int_equal(lines(f, 0), 0);
	close(fd);
	end(f);
}

static void a_resampling_irqfd_holds_the_line_until_the_guest_is_done(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK), done = eventfd(0, EFD_NONBLOCK);
	struct fake *f = machine();

	assert_int_equal(irqfd(f, fd, GSI, KVM_IRQFD_FLAG_RESAMPLE, done), 0);
	signal_fd(f, fd);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), SPI);
	assert_int_equal(count(done), 0);
	icc_write(f, 0, ICC_EOIR1, SPI);
	assert_int_equal(count(done), 1);
	assert_int_equal(lines(f, 0), 0);
	signal_fd(f, fd); /* the device still wants it */
	assert_int_equal(icc_read(f, 0, ICC_IAR1), SPI);
	icc_write(f, 0, ICC_EOIR1, SPI);
	assert_int_equal(count(done), 1);
	signal_fd(f, fd);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	assert_int_equal(irqfd(f, fd, GSI, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	assert_int_equal(lines(f, 0), 0); /* nobody is left to lower it */
	close(fd);
	close(done);
	end(f);
}

static int route(struct fake *f, unsigned n, const struct kvm_irq_routing_entry *e)
{
	struct kvm_irq_routing head = {.nr = n};

	return irq_routing_ioctl(&f->vm, &head, e);
}

static struct kvm_irq_routing_entry pin(unsigned gsi, unsigned p)
{
	return (struct kvm_irq_routing_entry){.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = {0, p}};
}

static void routing_replaces_the_table(void **state)
{
	struct kvm_irq_routing_entry e[2] = {pin(100, GSI),
					     {.gsi = 7, .type = KVM_IRQ_ROUTING_MSI, .flags = KVM_MSI_VALID_DEVID}};
	int fd = eventfd(0, EFD_NONBLOCK);
	struct fake *f = machine();

	make_edge(f);
	assert_int_equal(route(f, 2, e), 0);
	assert_int_equal(irqfd(f, fd, GSI, 0, 0), 0); /* need not be routed */
	signal_fd(f, fd);
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(irqfd(f, fd, GSI, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	assert_int_equal(irqfd(f, fd, 100, 0, 0), 0);
	signal_fd(f, fd);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), SPI);
	assert_int_equal(irqfd(f, fd, 100, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	assert_int_equal(irqfd(f, fd, 7, 0, 0), 0); /* an MSI without an ITS goes nowhere */
	signal_fd(f, fd);
	assert_int_equal(irqfd(f, fd, 7, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	assert_int_equal(irqfd(f, fd, 0xffffffff, 0, 0), 0);
	signal_fd(f, fd);
	close(fd);
	end(f);
}

static void routing_errors(void **state)
{
	struct kvm_irq_routing head = {.nr = 0, .flags = 1};
	struct kvm_irq_routing_entry e[2];
	struct fake *f = start(1); /* accepted without an irqchip */

	assert_int_equal(irq_routing_ioctl(&f->vm, &head, e), -EINVAL);
	head = (struct kvm_irq_routing){.nr = 4097};
	assert_int_equal(irq_routing_ioctl(&f->vm, &head, e), -EINVAL);
	assert_int_equal(route(f, 0, e), 0);
	e[0] = pin(4095, 987);
	e[1] = pin(1, 1);
	assert_int_equal(route(f, 2, e), 0);
	e[0] = pin(4096, 1);
	assert_int_equal(route(f, 1, e), -EINVAL);
	e[0] = pin(1, 988);
	assert_int_equal(route(f, 1, e), -EINVAL);
	e[0] = pin(1, 2);
	assert_int_equal(route(f, 2, e), -EINVAL); /* a GSI twice */
	e[0] = pin(2, 2);
	e[0].flags = 1;
	assert_int_equal(route(f, 1, e), -EINVAL);
	e[0] = pin(2, 2);
	e[0].u.irqchip.irqchip = 1;
	assert_int_equal(route(f, 1, e), -EINVAL);
	e[0] = pin(2, 2);
	e[0].type = KVM_IRQ_ROUTING_XEN_EVTCHN;
	assert_int_equal(route(f, 1, e), -EINVAL);
	e[0].type = KVM_IRQ_ROUTING_MSI;
	e[0].flags = 2;
	assert_int_equal(route(f, 1, e), -EINVAL);
	end(f);
}

static int irq_line(struct fake *f, unsigned type, unsigned vcpu, unsigned num, bool level)
{
	struct kvm_irq_level a = {.irq = (vcpu >> 8) << 28 | type << 24 | (vcpu & 255) << 16 | num, .level = level};

	return irq_line_ioctl(&f->vm, &a);
}

static void irq_line_errors(void **state)
{
	struct fake *f = start(1);

	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_SPI, 0, SPI, true), -ENXIO);
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_PPI, 0, 20, true), -ENXIO);
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_CPU, 1, 0, true), -EINVAL);
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_CPU, 0, 2, true), -EINVAL);
	assert_int_equal(irq_line(f, 7, 0, 0, true), -EINVAL);
	vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_V3);
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_SPI, 0, SPI, true), -EBUSY);
	end(f);
	f = machine();
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_CPU, 0, 0, true), -ENXIO);
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_SPI, 0, 31, true), -EINVAL);
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_SPI, 0, 256, true), -EINVAL);
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_PPI, 0, 15, true), -EINVAL);
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_PPI, 0, 32, true), -EINVAL);
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_PPI, 256, 20, true), -EINVAL);
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_SPI, 0, SPI, true), 0);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	end(f);
}

static void without_an_irqchip_the_client_drives_the_inputs_of_the_pe(void **state)
{
	struct fake *f = start(2);

	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_CPU, 1, KVM_ARM_IRQ_CPU_IRQ, true), 0);
	assert_int_equal(lines(f, 1), CPU_IRQ);
	assert_int_equal(f->kicks[1], 1);
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_CPU, 1, KVM_ARM_IRQ_CPU_IRQ, true), 0);
	assert_int_equal(f->kicks[1], 1);
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_CPU, 1, KVM_ARM_IRQ_CPU_FIQ, true), 0);
	assert_int_equal(lines(f, 1), CPU_IRQ | CPU_FIQ);
	assert_int_equal(irq_line(f, KVM_ARM_IRQ_TYPE_CPU, 1, KVM_ARM_IRQ_CPU_IRQ, false), 0);
	assert_int_equal(lines(f, 1), CPU_FIQ);
	end(f);
}

static void signal_msi_errors(void **state)
{
	struct kvm_msi msi = {.flags = KVM_MSI_VALID_DEVID};
	struct fake *f = start(1);

	assert_int_equal(signal_msi_ioctl(&f->vm, &msi), -EINVAL);
	end(f);
	f = machine();
	assert_int_equal(signal_msi_ioctl(&f->vm, &msi), -ENODEV);
	msi.flags = 2;
	assert_int_equal(signal_msi_ioctl(&f->vm, &msi), -EINVAL);
	end(f);
}

static int io(struct fake *f, int fd, uint64_t addr, uint32_t len, uint32_t flags, uint64_t match)
{
	struct kvm_ioeventfd a = {.fd = fd, .addr = addr, .len = len, .flags = flags, .datamatch = match};

	return ioeventfd_ioctl(&f->vm, &a);
}

static void ioeventfd_errors(void **state)
{
	const uint32_t match = KVM_IOEVENTFD_FLAG_DATAMATCH, off = KVM_IOEVENTFD_FLAG_DEASSIGN;
	int fd = eventfd(0, EFD_NONBLOCK);
	struct fake *f = start(1);

	assert_int_equal(io(f, fd, MMIO, 3, 0, 0), -EINVAL);
	assert_int_equal(io(f, fd, MMIO, 16, 0, 0), -EINVAL);
	assert_int_equal(io(f, fd, MMIO, 0, match, 0), -EINVAL);
	assert_int_equal(io(f, fd, MMIO, 4, 1 << 7, 0), -EINVAL);
	assert_int_equal(io(f, fd, ~0ull, 4, 0, 0), -EINVAL);
	assert_int_equal(io(f, -1, MMIO, 4, 0, 0), -EBADF);
	assert_int_equal(io(f, fd, MMIO, 4, off, 0), -ENOENT);
	assert_int_equal(io(f, fd, MMIO, 4, match, 1), 0);
	assert_int_equal(io(f, fd, MMIO, 4, match, 1), -EEXIST);
	assert_int_equal(io(f, fd, MMIO, 4, 0, 0), -EEXIST);
	assert_int_equal(io(f, fd, MMIO, 0, 0, 0), -EEXIST);
	assert_int_equal(io(f, fd, MMIO, 4, match, 2), 0);
	assert_int_equal(io(f, fd, MMIO, 2, 0, 0), 0);
	assert_int_equal(io(f, fd, MMIO, 4, KVM_IOEVENTFD_FLAG_PIO, 0), 0); /* another bus */
	assert_int_equal(io(f, fd, MMIO, 4, off, 0), -ENOENT);
	assert_int_equal(io(f, fd, MMIO, 4, off | match, 1), 0);
	assert_int_equal(io(f, fd, MMIO, 4, off | match, 1), -ENOENT);
	close(fd);
	end(f);
}

static int write_to(struct fake *f, unsigned len, uint64_t val)
{
	struct io_dev *d = f->bus;

	return d->ops->write(f->vm.vcpus[0], d, 0, len, val);
}

static void an_ioeventfd_takes_the_writes_that_match(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct fake *f = start(1);

	assert_int_equal(io(f, fd, MMIO, 4, KVM_IOEVENTFD_FLAG_DATAMATCH, 0x12345678), 0);
	assert_int_equal(f->bus->base, MMIO);
	assert_int_equal(write_to(f, 4, 0x12345678), 0);
	assert_int_equal(write_to(f, 4, 0xdeadbeef12345678), 0); /* what is beyond the width is not written */
	assert_int_equal(write_to(f, 4, 0x12345679), -EOPNOTSUPP);
	assert_int_equal(write_to(f, 2, 0x5678), -EOPNOTSUPP);
	assert_int_equal(count(fd), 2);
	assert_null(f->bus->ops->read);
	assert_int_equal(io(f, fd, MMIO, 4, KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_DEASSIGN, 0x12345678), 0);
	assert_null(f->bus);
	assert_int_equal(io(f, fd, MMIO, 0, 0, 0), 0);
	assert_int_equal(write_to(f, 8, 1), 0);
	assert_int_equal(write_to(f, 1, 1), 0);
	assert_int_equal(f->bus->ops->write(f->vm.vcpus[0], f->bus, 1, 1, 1), -EOPNOTSUPP);
	assert_int_equal(count(fd), 2);
	close(fd);
	end(f);
}

static void a_full_eventfd_does_not_block_the_vcpu(void **state)
{
	int fd = eventfd(0, 0);
	struct fake *f = start(1);

	eventfd_write(fd, UINT64_MAX - 1);
	assert_int_equal(io(f, fd, MMIO, 4, 0, 0), 0);
	assert_int_equal(write_to(f, 4, 1), 0);
	close(fd);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_eventfd_is_one_irqfds_in_whatever_vm),
		cmocka_unit_test(an_eventfd_is_one_irqfds_in_whatever_process),
		cmocka_unit_test(irqfd_errors),
		cmocka_unit_test(an_irqfd_is_an_edge),
		cmocka_unit_test(an_irqfd_without_resampler_leaves_a_level_up),
		cmocka_unit_test(a_blocking_eventfd_that_somebody_else_read_does_not_block_us),
		cmocka_unit_test(a_resampling_irqfd_holds_the_line_until_the_guest_is_done),
		cmocka_unit_test(routing_replaces_the_table),
		cmocka_unit_test(routing_errors),
		cmocka_unit_test(irq_line_errors),
		cmocka_unit_test(without_an_irqchip_the_client_drives_the_inputs_of_the_pe),
		cmocka_unit_test(signal_msi_errors),
		cmocka_unit_test(ioeventfd_errors),
		cmocka_unit_test(an_ioeventfd_takes_the_writes_that_match),
		cmocka_unit_test(a_full_eventfd_does_not_block_the_vcpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
