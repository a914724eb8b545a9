/* SPDX-License-Identifier: MIT */
/*
 * The board: memory map and devices as one table, address-compatible with QEMU's `virt`; making the machine out of KVM
 * objects; the main thread's life. api.rst for KVM, Documentation/virt/kvm/devices/arm-vgic-v3.rst for the GIC.
 */
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <pawl/pawl.h>

#include "board_fdt.h"
#include "flash.h"
#include "sandbox.h"
#include "stats.h"
#include "virtio_board.h"

/* ---- the memory map: this table, and machine.h's BOARD_* */

const struct board_device board_devices[] = {
	{.name = "flash",
	 .ipa = 0,
	 .size = FLASH_BANK,
	 .wanted = flash_wanted,
	 .create = flash_code_create,
	 .fdt = flash_fdt},
	{.name = "flash for variables",
	 .ipa = FLASH_BANK,
	 .size = FLASH_BANK,
	 .wanted = flash_wanted,
	 .create = flash_vars_create},
	{.name = "uart",
	 .ipa = 0x09000000,
	 .size = 0x1000,
	 .spi = 1,
	 .create = pl011_create,
	 .fdt = pl011_fdt,
	 .stdout_name = "pl011"},
	{.name = "rtc", .ipa = 0x09010000, .size = 0x1000, .spi = 2, .create = pl031_create, .fdt = pl031_fdt},
	{.name = "fw_cfg",
	 .ipa = 0x09020000,
	 .size = 0x18,
	 .wanted = fw_cfg_wanted,
	 .create = fw_cfg_create,
	 .fdt = fw_cfg_fdt},
	{.name = "gpio", .ipa = 0x09030000, .size = 0x1000, .spi = 7, .create = pl061_create, .fdt = pl061_fdt},
	/* QEMU's board has nothing at these two */
	{.name = "exit port", .ipa = 0x090e0000, .size = 0x1000, .create = exit_port_create, .fdt = exit_port_fdt},
	{.name = "panic notifier", .ipa = 0x090f0000, .size = 0x1000, .create = pvpanic_create, .fdt = pvpanic_fdt},
};
const unsigned board_n_devices = sizeof(board_devices) / sizeof(board_devices[0]);
_Static_assert(sizeof(board_devices) / sizeof(board_devices[0]) <= MACHINE_MAX_DEVICES, "a device too many");

unsigned machine_max_vcpus(void)
{
	return MACHINE_MAX_VCPUS;
}

/* ---- accesses of the guest */

void device_irq(struct device *dev, bool level)
{
	if (dev->irq_level == level)
		return;
	dev->irq_level = level;
	if (dev->set_irq)
		dev->set_irq(dev->irq_arg, level);
}

static void wire_set(void *arg, bool level)
{
	struct irq_wire *w = arg;
	struct kvm_irq_level line = {
		.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | w->intid << KVM_ARM_IRQ_NUM_SHIFT,
		.level = level,
	};

	if (w->m->sys->ioctl(w->m->vm_fd, KVM_IRQ_LINE, &line))
		machine_message(w->m, "cannot set interrupt %u: %s", w->intid, strerror(errno));
}

static void warn_unknown(struct machine *m, uint64_t ipa, bool is_write)
{
	uint64_t page = ipa >> 12;
	bool known = false;

	if (!m->config.verbose)
		return;
	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < m->n_warned; i++)
		known |= m->warned[i] == page;
	known |= m->n_warned == MACHINE_WARNED_PAGES;
	if (!known)
		m->warned[m->n_warned++] = page;
	pthread_mutex_unlock(&m->lock);
	if (!known)
		machine_message(m, "the guest %s %#" PRIx64 ", where there is no device", is_write ? "writes" : "reads",
				ipa);
}

/* One access that a device can take: 1, 2 or 4 bytes, aligned. */
static uint32_t device_access(struct machine *m, uint64_t ipa, unsigned len, uint32_t val, bool is_write)
{
	for (unsigned i = 0; i < board_n_devices; i++) {
		const struct board_device *row = &board_devices[i];
		struct device *dev = m->devices[i];

		if (!dev || ipa < row->ipa || ipa - row->ipa > row->size - len)
			continue;
		pthread_mutex_lock(&dev->lock);
		if (is_write)
			dev->ops->write(dev, ipa - row->ipa, len, val);
		else
			val = dev->ops->read(dev, ipa - row->ipa, len);
		pthread_mutex_unlock(&dev->lock);
		return val;
	}
	if (ipa - VIRTIO_BASE < VIRTIO_N_SLOTS * VIRTIO_SLOT_SIZE)
		return virtio_slots_access(m, ipa - VIRTIO_BASE, len, val, is_write);
	warn_unknown(m, ipa, is_write);
	return 0;
}

void machine_mmio(struct machine *m, uint64_t ipa, uint8_t *data, unsigned len, bool is_write)
{
	for (unsigned done = 0; done < len;) {
		unsigned n = len - done < 4 ? len - done : 4;
		uint32_t val = 0;

		while (n & (n - 1) || (ipa + done) & (n - 1)) /* what a bus would split */
			n = n == 3 ? 2 : n / 2;
		if (is_write)
			memcpy(&val, data + done, n);
		val = device_access(m, ipa + done, n, val, is_write);
		if (!is_write)
			memcpy(data + done, &val, n);
		done += n;
	}
}

uint8_t *machine_ram(struct machine *m, uint64_t ipa, uint64_t len)
{
	if (ipa < m->ram.ipa || ipa - m->ram.ipa > m->ram.size || len > m->ram.size - (ipa - m->ram.ipa))
		return NULL;
	return m->host_ram + (ipa - m->ram.ipa);
}

/* ---- messages and the end */

void machine_message(struct machine *m, const char *fmt, ...)
{
	char line[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	console_message(m->console, line);
}

void machine_end(struct machine *m, int status)
{
	uint64_t one = 1;

	pthread_mutex_lock(&m->lock);
	/* Output that is lost is a failure, also if it is found out when the guest has powered off. */
	if (!m->ended || (m->status == 0 && status == MACHINE_FAILED)) {
		m->ended = true;
		m->status = status;
	}
	atomic_store(&m->quit, true);
	for (unsigned i = 0; i < m->n_vcpus; i++)
		vcpu_kick_locked(&m->vcpus[i]);
	gate_open(&m->resumed);
	pthread_mutex_unlock(&m->lock);
	if (write(m->end_fd, &one, sizeof(one)) < 0)
		abort(); /* an eventfd far from its limit takes a 1 */
}

void machine_cut(struct machine *m, int status)
{
	pthread_mutex_lock(&m->lock);
	m->hurry |= !m->ended;
	pthread_mutex_unlock(&m->lock);
	machine_end(m, status);
}

void machine_panicked(struct machine *m)
{
	struct gdb_stop stop = {.kind = GDB_STOP_FAULT, .text = "the guest's kernel has panicked"};

	for (unsigned i = 0; i < m->n_vcpus; i++) {
		if (!pthread_equal(m->vcpus[i].thread, pthread_self()))
			continue;
		stop.vcpu = i;
		if (debug_report(&m->vcpus[i], &stop))
			return;
	}
	machine_message(m, "%s", stop.text);
	machine_end(m, MACHINE_PANICKED);
}

void machine_wait(struct machine *m, struct gate *g)
{
	uint32_t turn = atomic_load(&g->turn); /* before the lock is gone: an opening after that is seen */

	pthread_mutex_unlock(&m->lock);
	syscall(SYS_futex, &g->turn, FUTEX_WAIT_PRIVATE, turn, &(struct timespec){.tv_nsec = 250000000}, NULL, 0);
	pthread_mutex_lock(&m->lock);
}

void gate_open(struct gate *g)
{
	atomic_fetch_add(&g->turn, 1);
	syscall(SYS_futex, &g->turn, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void machine_freeze(struct machine *m, unsigned why)
{
	pthread_mutex_lock(&m->lock);
	m->frozen |= why;
	for (unsigned i = 0; i < m->n_vcpus; i++)
		if (!m->vcpus[i].stopped)
			vcpu_kick_locked(&m->vcpus[i]);
	for (unsigned i = 0; i < m->n_vcpus; i++)
		while (m->vcpus[i].started && !m->vcpus[i].stopped)
			machine_wait(m, &m->stopped);
	pthread_mutex_unlock(&m->lock);
	if (why & FREEZE_PAUSE && vcpus_get_counter(m, &m->paused_cnt))
		m->paused_cnt = 0;
}

void machine_thaw(struct machine *m, unsigned why)
{
	/* A pause takes no time in the guest, or its watchdogs would bark. */
	if (why & FREEZE_PAUSE && m->paused_cnt)
		vcpus_set_counter(m, m->paused_cnt);
	pthread_mutex_lock(&m->lock);
	m->frozen &= ~why;
	gate_open(&m->resumed);
	pthread_mutex_unlock(&m->lock);
}

void machine_want_reset(struct machine *m)
{
	uint64_t one = 1;

	pthread_mutex_lock(&m->lock);
	if (!m->reset_wanted) {
		m->reset_wanted = true;
		m->frozen |= FREEZE_RESET;
		for (unsigned i = 0; i < m->n_vcpus; i++)
			vcpu_kick_locked(&m->vcpus[i]);
		if (write(m->reset_fd, &one, sizeof(one)) < 0)
			abort(); /* an eventfd at 0 takes a 1 */
	}
	pthread_mutex_unlock(&m->lock);
}

static void console_quit(void *arg)
{
	machine_cut(arg, MACHINE_QUIT);
}

static void console_failed(void *arg, const char *text)
{
	machine_message(arg, "%s", text);
	machine_end(arg, MACHINE_FAILED);
}

/* ---- making it */

int machine_check_memory(const struct machine_config *config, struct vmm_error *err)
{
	if (config->memory & 0xffff || !config->memory)
		return vmm_fail(err, "guest memory must be a multiple of 64 KiB");
	if (config->memory > (UINT64_C(1) << 52) - BOARD_RAM)
		return vmm_fail(err, "more guest memory than an address can name");
	return 0;
}

static int kvm_error(const char *what, struct vmm_error *err)
{
	return vmm_fail(err, "%s: %s", what, strerror(errno));
}

/* Models are an extension of libpawl's. The kernel's VMs have the host's CPU, which is all that there is to max. */
static int choose_cpu(struct machine *m, struct vmm_error *err)
{
	struct kvm_enable_cap cap = {.cap = PAWL_CAP_CPU_MODEL, .args = {(uintptr_t)m->config.cpu}};

	if (m->sys->ioctl(m->vm_fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)PAWL_CAP_CPU_MODEL) <= 0) {
		if (!strcmp(m->config.cpu, "max"))
			return 0;
		return vmm_fail(err, "%s has the host's CPU: --cpu can only be max", m->sys->name);
	}
	if (m->sys->ioctl(m->vm_fd, KVM_ENABLE_CAP, &cap))
		return vmm_fail(err, "--cpu %s: %s", m->config.cpu, strerror(errno));
	return 0;
}

/* An extension of libpawl's, too. A debugger's policies come beside it: debug.c. */
static int emulate_mmio(struct machine *m, struct vmm_error *err)
{
	struct kvm_enable_cap cap = {.cap = PAWL_CAP_DEBUG, .args = {MACHINE_DEBUG_POLICY}};
	int known = m->sys->ioctl(m->vm_fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)PAWL_CAP_DEBUG);

	if (known < 0 || MACHINE_DEBUG_POLICY & ~(unsigned)known)
		return vmm_fail(err, "%s cannot do --emulate-mmio", m->sys->name);
	if (m->sys->ioctl(m->vm_fd, KVM_ENABLE_CAP, &cap))
		return vmm_fail(err, "--emulate-mmio: %s", strerror(errno));
	return 0;
}

static int create_vm(struct machine *m, struct vmm_error *err)
{
	const struct kvm_sys *sys = m->sys;
	struct kvm_userspace_memory_region slot = {.slot = SLOT_RAM,
						   .guest_phys_addr = m->ram.ipa,
						   .memory_size = m->ram.size,
						   .userspace_addr = (uintptr_t)m->host_ram};
	int version, ipa_bits, run_size, max_vcpus;
	unsigned need = 32;

	m->kvm_fd = sys->open(m->config.kvm_path, O_RDWR | O_CLOEXEC);
	if (m->kvm_fd < 0)
		return kvm_error(m->config.kvm_path ? m->config.kvm_path : sys->name, err);
	version = sys->ioctl(m->kvm_fd, KVM_GET_API_VERSION, NULL);
	if (version != KVM_API_VERSION)
		return vmm_fail(err, "%s: no KVM device", m->config.kvm_path ? m->config.kvm_path : sys->name);
	/* Only arm64 has this one; on another architecture the requests below would mean other things. */
	ipa_bits = sys->ioctl(m->kvm_fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)KVM_CAP_ARM_VM_IPA_SIZE);
	if (ipa_bits <= 0)
		return vmm_fail(err, "%s: not the KVM of an arm64 machine",
				m->config.kvm_path ? m->config.kvm_path : sys->name);
	while (need < 64 && m->ram.ipa + m->ram.size > UINT64_C(1) << need)
		need++;
	if (need > (unsigned)ipa_bits)
		return vmm_fail(err, "guest memory does not fit into %d bits of address, which is what %s has",
				ipa_bits, sys->name);
	if (need < 40)
		need = ipa_bits < 40 ? (unsigned)ipa_bits : 40;
	m->vm_fd = sys->ioctl(m->kvm_fd, KVM_CREATE_VM, (void *)(uintptr_t)KVM_VM_TYPE_ARM_IPA_SIZE(need));
	if (m->vm_fd < 0)
		return kvm_error("cannot create a VM", err);
	if (m->config.cpu && choose_cpu(m, err))
		return -1;
	if (m->config.emulate_mmio && emulate_mmio(m, err))
		return -1;
	max_vcpus = sys->ioctl(m->vm_fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)KVM_CAP_MAX_VCPUS);
	if (max_vcpus > 0 && m->config.smp > (unsigned)max_vcpus)
		return vmm_fail(err, "%u vcpus (--smp) are more than the %d that %s has", m->config.smp, max_vcpus,
				sys->name);
	if (sys->ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot))
		return kvm_error("cannot give the VM its memory", err);
	run_size = sys->ioctl(m->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
	if (run_size < (int)sizeof(struct kvm_run))
		return kvm_error("cannot learn the size of kvm_run", err);
	m->run_size = (size_t)run_size;
	return 0;
}

static int gic_set(struct machine *m, uint32_t group, uint64_t attr, const void *val)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)val};

	return m->sys->ioctl(m->gic_fd, KVM_SET_DEVICE_ATTR, &a);
}

/* After the vcpus. */
static int create_gic(struct machine *m, struct vmm_error *err)
{
	struct kvm_create_device create = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	uint32_t n_intids = BOARD_GIC_INTIDS;
	uint64_t dist = BOARD_GIC_DIST, redist = BOARD_GIC_REDIST;
	uint64_t region = (uint64_t)m->n_vcpus << 52 | BOARD_GIC_REDIST; /* count, base, flags 0, index 0 */

	if (m->sys->ioctl(m->vm_fd, KVM_CREATE_DEVICE, &create))
		return kvm_error("cannot create a GICv3", err);
	m->gic_fd = (int)create.fd;
	if (gic_set(m, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &n_intids) ||
	    gic_set(m, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist) ||
	    (gic_set(m, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, &region) &&
	     gic_set(m, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist)) ||
	    gic_set(m, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL))
		return kvm_error("cannot set up the GICv3", err);
	return 0;
}

static int create_devices(struct machine *m, struct vmm_error *err)
{
	for (unsigned i = 0; i < board_n_devices; i++) {
		const struct board_device *row = &board_devices[i];
		struct device *dev;

		if (row->wanted && !row->wanted(&m->config))
			continue;
		err->text[0] = 0;
		dev = row->create(m, row, err);
		if (!dev && err->text[0])
			return -1;
		if (!dev)
			return vmm_fail(err, "cannot make the %s: %s", row->name, strerror(errno));
		m->wires[i] = (struct irq_wire){m, 32 + row->spi};
		pthread_mutex_init(&dev->lock, NULL);
		dev->set_irq = wire_set;
		dev->irq_arg = &m->wires[i];
		m->devices[i] = dev;
	}
	return 0;
}

static int create_ram(struct machine *m, struct vmm_error *err)
{
	void *p = mmap(NULL, m->ram.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return vmm_fail(err, "cannot get %" PRIu64 " MiB of memory: %s", m->ram.size >> 20, strerror(errno));
	m->host_ram = p;
	madvise(p, m->ram.size, MADV_HUGEPAGE); /* a wish */
	return 0;
}

struct machine *machine_create(const struct machine_config *config, struct vmm_error *err)
{
	struct console_events events = {.quit = console_quit, .failed = console_failed};
	struct vmm_error no_stats;
	struct machine *m;

	if (machine_check_memory(config, err))
		return NULL;
	m = calloc(1, sizeof(*m));
	if (!m) {
		vmm_fail(err, "no memory for a machine");
		return NULL;
	}
	m->config = *config;
	m->sys = config->sys;
	m->kvm_fd = m->vm_fd = m->gic_fd = m->signal_fd = m->timer_fd = -1;
	m->ram = (struct boot_ram){BOARD_RAM, config->memory};
	pthread_mutex_init(&m->lock, NULL);
	m->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->reset_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->loop = loop_create();
	if (m->end_fd < 0 || m->event_fd < 0 || m->reset_fd < 0 || !m->loop) {
		vmm_fail(err, "cannot make the event loop: %s", strerror(errno));
		goto fail;
	}
	events.arg = m;
	m->console = console_create(&events, err);
	if (!m->console || sources_open(&m->files, config, err) || create_ram(m, err) || create_vm(m, err) ||
	    vcpus_create(m, err) || create_gic(m, err) || create_devices(m, err) || virtio_slots_create(m, err) ||
	    machine_load(m, err) || (config->stats && stats_open(m, err)))
		goto fail;
	if (config->control && !config->stats && stats_open(m, &no_stats))
		stats_close(m); /* the command will say so */
	clock_gettime(CLOCK_MONOTONIC, &m->started);
	if (config->control && !(m->control = control_start(m, config->control, err)))
		goto fail;
	return m;
fail:
	machine_destroy(m);
	return NULL;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void sys_close(struct machine *m, int fd)
{
	if (fd >= 0)
		m->sys->close(fd);
}

void machine_destroy(struct machine *m)
{
	control_stop(m->control);
	virtio_slots_free(m); /* its threads say things on the console */
	if (m->console)
		console_destroy(m->console);
	stats_close(m);
	vcpus_destroy(m);
	for (unsigned i = 0; i < board_n_devices; i++)
		if (m->devices[i]) {
			pthread_mutex_destroy(&m->devices[i]->lock);
			m->devices[i]->ops->free(m->devices[i]);
		}
	sys_close(m, m->gic_fd);
	sys_close(m, m->vm_fd);
	sys_close(m, m->kvm_fd);
	if (m->host_ram)
		munmap(m->host_ram, m->ram.size);
	sources_close(&m->files);
	payload_free(m->payload);
	free(m->payload);
	if (m->loop)
		loop_destroy(m->loop);
	close_fd(m->end_fd);
	close_fd(m->event_fd);
	close_fd(m->reset_fd);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* ---- the main thread */

static void on_end(void *arg)
{
	struct machine *m = arg;

	loop_stop(m->loop);
}

static void on_reset(void *arg)
{
	struct machine *m = arg;
	struct vmm_error err;
	uint64_t n;

	if (read(m->reset_fd, &n, sizeof(n)) != sizeof(n))
		return;
	machine_freeze(m, FREEZE_RESET); /* it is; waits until they have stopped */
	pthread_mutex_lock(&m->lock);
	m->reset_wanted = false;
	pthread_mutex_unlock(&m->lock);
	if (atomic_load(&m->quit))
		return;
	if (machine_reset(m, &err)) {
		machine_message(m, "%s", err.text);
		machine_end(m, MACHINE_FAILED);
		return;
	}
	machine_thaw(m, FREEZE_RESET);
	control_reset_done(m->control);
}

static void on_timeout(void *arg)
{
	struct machine *m = arg;

	machine_message(m, "the machine has not ended in %" PRIu64 ".%03u seconds (--timeout)",
			m->config.timeout_ms / 1000, (unsigned)(m->config.timeout_ms % 1000));
	machine_cut(m, MACHINE_TIMED_OUT);
}

static bool start_timer(struct machine *m)
{
	struct itimerspec at = {
		.it_value = {(time_t)(m->config.timeout_ms / 1000), (long)(m->config.timeout_ms % 1000) * 1000000}};

	if (!m->config.timeout_ms)
		return true;
	m->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return m->timer_fd >= 0 && !timerfd_settime(m->timer_fd, 0, &at, NULL) &&
	       loop_add(m->loop, m->timer_fd, on_timeout, m);
}

static void on_signal(void *arg)
{
	struct machine *m = arg;
	struct signalfd_siginfo info;

	if (read(m->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGTSTP) {
		console_suspend(m->console);
		kill(getpid(), SIGSTOP);
		console_resume(m->console);
		return;
	}
	if (info.ssi_signo == SIGUSR1) {
		stats_print(m);
		return;
	}
	machine_cut(m, MACHINE_SIGNALLED + (int)info.ssi_signo);
}

/* Those that end or stop us, unless the caller of the program wants them ignored (nohup). */
static void our_signals(sigset_t *set)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
	struct sigaction now;

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (!sigaction(signals[i], NULL, &now) && now.sa_handler != SIG_IGN)
			sigaddset(set, signals[i]);
}

/* What the guest printed last is still to be written. A stuck reader may be cut off by a signal, or soon if a user
 * ended it. */
static void drain(struct machine *m)
{
	struct pollfd pfd[2] = {{.fd = console_drained(m->console), .events = POLLIN},
				{.fd = m->signal_fd, .events = POLLIN}};
	bool patient = !m->hurry; /* the vcpus and whoever else sets it are gone, but for a debugger, who may */

	while (poll(pfd, 2, patient ? -1 : 1000) < 0 && errno == EINTR)
		;
}

void machine_confine(struct machine *m)
{
	struct vmm_error err;

	if (m->config.sandbox.on && sandbox_files(&m->config.sandbox, &err))
		machine_message(m, "files are not confined: %s (--no-sandbox says nothing)", err.text);
}

static void confine_calls(struct machine *m)
{
	struct vmm_error err;

	if (m->config.sandbox.on && sandbox_calls(&m->config.sandbox, &err))
		machine_message(m, "system calls are not confined: %s (--no-sandbox says nothing)", err.text);
}

int machine_run(struct machine *m)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old_pipe;
	bool console = false;
	int status;
	sigset_t ours, old;
	struct vmm_error err;

	our_signals(&ours);
	if (m->config.stats)
		sigaddset(&ours, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &ours, &old);
	sigaction(SIGPIPE, &ignore, &old_pipe);
	m->signal_fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signal_fd < 0 || !loop_add(m->loop, m->signal_fd, on_signal, m) ||
	    !loop_add(m->loop, m->end_fd, on_end, m) || !loop_add(m->loop, m->reset_fd, on_reset, m) ||
	    !start_timer(m)) {
		machine_message(m, "cannot listen for signals and timers: %s", strerror(errno));
		machine_end(m, MACHINE_FAILED);
	} else {
		console = !console_start(m->console, &err);
		if (console && !virtio_slots_start(m, &err) && (confine_calls(m), !vcpus_start(m, &err))) {
			loop_run(m->loop);
		} else {
			machine_message(m, "%s", err.text);
			machine_end(m, MACHINE_FAILED);
		}
	}
	console_finish(m->console);
	vcpus_join(m);
	if (console)
		drain(m);
	if (m->config.stats)
		stats_print(m);
	close_fd(m->signal_fd);
	close_fd(m->timer_fd);
	m->signal_fd = m->timer_fd = -1;
	sigaction(SIGPIPE, &old_pipe, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_mutex_lock(&m->lock);
	status = m->status;
	pthread_mutex_unlock(&m->lock);
	return status;
}
