/* SPDX-License-Identifier: MIT */
/*
 * The board: memory map and devices as one table, address-compatible with QEMU's `virt`; making the machine out of KVM
 * objects; the main thread's life. api.rst for KVM, Documentation/virt/kvm/devices/arm-vgic-v3.rst for the GIC.
 */
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libfdt.h>

#include <pawl/pawl.h>

#include "board_fdt.h"

/* ---- the memory map */

enum {
	GIC_DIST = 0x08000000,
	GIC_DIST_SIZE = 0x10000,
	GIC_REDIST = 0x080a0000,
	GIC_REDIST_SIZE = 0x20000 /* per vcpu */
};
enum { GIC_N_INTIDS = 288 /* 256 SPIs */ };
#define RAM_BASE UINT64_C(0x40000000)

const struct board_device board_devices[] = {
	{.name = "uart",
	 .ipa = 0x09000000,
	 .size = 0x1000,
	 .spi = 1,
	 .create = pl011_create,
	 .fdt = pl011_fdt,
	 .stdout_name = "pl011"},
	{.name = "rtc", .ipa = 0x09010000, .size = 0x1000, .spi = 2, .create = pl031_create, .fdt = pl031_fdt},
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
	pthread_cond_broadcast(&m->resume_cond);
	pthread_mutex_unlock(&m->lock);
	if (write(m->end_fd, &one, sizeof(one)) < 0)
		abort(); /* an eventfd far from its limit takes a 1 */
}

static void console_quit(void *arg)
{
	machine_end(arg, MACHINE_QUIT);
}

static void console_failed(void *arg, const char *text)
{
	machine_message(arg, "%s", text);
	machine_end(arg, MACHINE_FAILED);
}

/* ---- making it */

static int check_memory(const struct machine_config *config, struct vmm_error *err)
{
	if (config->memory & 0xffff || !config->memory)
		return vmm_fail(err, "guest memory must be a multiple of 64 KiB");
	if (config->memory > (UINT64_C(1) << 52) - RAM_BASE)
		return vmm_fail(err, "more guest memory than an address can name");
	return 0;
}

/* Reads the files that the configuration names, and plans where they go. The results are the caller's to free. */
struct payload {
	uint8_t *kernel, *initrd;
	size_t kernel_size, initrd_size;
	struct image image;
};

static void payload_free(struct payload *p)
{
	image_free(&p->image);
	free(p->kernel);
	free(p->initrd);
}

static int payload_read(struct payload *p, struct boot_plan *plan, const struct machine_config *config,
			struct vmm_error *err)
{
	struct boot_ram ram = {RAM_BASE, config->memory};
	struct vmm_error inner;

	memset(p, 0, sizeof(*p));
	if (config->kernel) {
		if (file_read(config->kernel, config->memory, &p->kernel, &p->kernel_size, err))
			return -1;
		if (image_parse(&p->image, p->kernel, p->kernel_size, config->memory, &inner))
			return vmm_fail(err, "%s: %.400s", config->kernel, inner.text);
	}
	if (config->initrd) {
		if (file_read(config->initrd, config->memory, &p->initrd, &p->initrd_size, err))
			return -1;
		if (!p->initrd_size)
			return vmm_fail(err, "%s: empty", config->initrd);
	}
	if (boot_plan(plan, config->kernel ? &p->image : NULL, p->initrd_size, ram, &inner))
		return vmm_fail(err, "%s: %.400s",
				config->kernel	 ? config->kernel
				: config->initrd ? config->initrd
						 : "guest",
				inner.text);
	return 0;
}

static int build_tree(void *buf, const struct machine_config *config, const struct boot_plan *plan,
		      const uint64_t *mpidr, struct vmm_error *err)
{
	struct fdt_config tree = {
		.devices = board_devices,
		.n_devices = board_n_devices,
		.ram = RAM_BASE,
		.ram_size = config->memory,
		.n_cpus = config->smp,
		.mpidr = mpidr,
		.gic_dist = GIC_DIST,
		.gic_dist_size = GIC_DIST_SIZE,
		.gic_redist = GIC_REDIST,
		.gic_redist_size = (uint64_t)config->smp * GIC_REDIST_SIZE,
		.initrd = plan->initrd,
		.initrd_size = plan->initrd_size,
		.bootargs = config->append,
	};

	if (getrandom(&tree.kaslr_seed, sizeof(tree.kaslr_seed), 0) != sizeof(tree.kaslr_seed) ||
	    getrandom(tree.rng_seed, sizeof(tree.rng_seed), 0) != sizeof(tree.rng_seed))
		return vmm_fail(err, "no random numbers: %s", strerror(errno));
	return fdt_build(buf, BOOT_DTB_SIZE, &tree, err);
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

static int create_vm(struct machine *m, struct vmm_error *err)
{
	const struct kvm_sys *sys = m->sys;
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = m->ram.ipa, .memory_size = m->ram.size, .userspace_addr = (uintptr_t)m->host_ram};
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
	uint32_t n_intids = GIC_N_INTIDS;
	uint64_t dist = GIC_DIST, redist = GIC_REDIST;
	uint64_t region = (uint64_t)m->n_vcpus << 52 | GIC_REDIST; /* count, base, flags 0, index 0 */

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
		struct device *dev = board_devices[i].create(m);

		if (!dev)
			return vmm_fail(err, "cannot make the %s: %s", board_devices[i].name, strerror(errno));
		m->wires[i] = (struct irq_wire){m, 32 + board_devices[i].spi};
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

static int fill_ram(struct machine *m, const struct payload *p, struct vmm_error *err)
{
	uint64_t mpidr[MACHINE_MAX_VCPUS];
	uint8_t *tree = machine_ram(m, m->plan.dtb, BOOT_DTB_SIZE);

	for (unsigned i = 0; i < m->n_vcpus; i++)
		mpidr[i] = m->vcpus[i].mpidr;
	boot_load(&m->plan, &p->image, m->host_ram, m->ram);
	if (p->initrd)
		memcpy(m->host_ram + (m->plan.initrd - m->ram.ipa), p->initrd, p->initrd_size);
	if (build_tree(tree, &m->config, &m->plan, mpidr, err))
		return -1;
#if defined(__aarch64__)
	/* The guest starts with its caches off or not yet coherent with the host's. */
	__builtin___clear_cache((char *)m->host_ram + (m->plan.kernel - m->ram.ipa),
				(char *)m->host_ram + (m->plan.kernel_end - m->ram.ipa));
	__builtin___clear_cache((char *)tree, (char *)tree + fdt_totalsize(tree));
#endif
	return 0;
}

struct machine *machine_create(const struct machine_config *config, struct vmm_error *err)
{
	struct console_events events = {.quit = console_quit, .failed = console_failed};
	struct machine *m;
	struct payload p = {0};

	if (check_memory(config, err))
		return NULL;
	m = calloc(1, sizeof(*m));
	if (!m) {
		vmm_fail(err, "no memory for a machine");
		return NULL;
	}
	m->config = *config;
	m->sys = config->sys;
	m->kvm_fd = m->vm_fd = m->gic_fd = m->signal_fd = -1;
	m->ram = (struct boot_ram){RAM_BASE, config->memory};
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->stopped_cond, NULL);
	pthread_cond_init(&m->resume_cond, NULL);
	m->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->loop = loop_create();
	if (m->end_fd < 0 || m->event_fd < 0 || !m->loop) {
		vmm_fail(err, "cannot make the event loop: %s", strerror(errno));
		goto fail;
	}
	events.arg = m;
	m->console = console_create(&events, err);
	if (!m->console || payload_read(&p, &m->plan, config, err) || create_ram(m, err) || create_vm(m, err) ||
	    vcpus_create(m, err) || create_gic(m, err) || create_devices(m, err) || fill_ram(m, &p, err) ||
	    vcpus_set_entry(m, err))
		goto fail;
	payload_free(&p);
	return m;
fail:
	payload_free(&p);
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
	if (m->console)
		console_destroy(m->console);
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
	if (m->loop)
		loop_destroy(m->loop);
	close_fd(m->end_fd);
	close_fd(m->event_fd);
	pthread_cond_destroy(&m->stopped_cond);
	pthread_cond_destroy(&m->resume_cond);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

int machine_dump_dtb(const struct machine_config *config, const char *path, struct vmm_error *err)
{
	struct boot_plan plan;
	struct payload p;
	uint64_t mpidr[MACHINE_MAX_VCPUS];
	uint8_t *tree = NULL;
	struct stat st;
	int fd, rc = -1;

	/* As KVM numbers them; see KVM_CREATE_VCPU */
	for (unsigned i = 0; i < config->smp; i++)
		mpidr[i] = (i & 0xf) | (uint64_t)(i >> 4 & 0xff) << 8 | (uint64_t)(i >> 12 & 0xff) << 16;
	if (check_memory(config, err))
		return -1;
	if (payload_read(&p, &plan, config, err))
		goto out;
	tree = malloc(BOOT_DTB_SIZE);
	if (!tree) {
		vmm_fail(err, "no memory for the device tree");
		goto out;
	}
	if (build_tree(tree, config, &plan, mpidr, err))
		goto out;
	fdt_pack(tree);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0) {
		kvm_error(path, err);
		goto out;
	}
	rc = 0;
	for (size_t done = 0, size = fdt_totalsize(tree); done < size && !rc;) {
		ssize_t n = write(fd, tree + done, size - done);

		if (n < 0)
			rc = kvm_error(path, err);
		else
			done += (size_t)n;
	}
	if (close(fd) && !rc)
		rc = kvm_error(path, err);
	if (rc && !stat(path, &st) && S_ISREG(st.st_mode)) /* a device or a pipe is not ours to remove */
		unlink(path);
out:
	free(tree);
	payload_free(&p);
	return rc;
}

/* ---- the main thread */

static void on_end(void *arg)
{
	struct machine *m = arg;

	loop_stop(m->loop);
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
	machine_end(m, MACHINE_SIGNALLED + (int)info.ssi_signo);
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
	bool patient = m->status < MACHINE_QUIT;

	while (poll(pfd, 2, patient ? -1 : 1000) < 0 && errno == EINTR)
		;
}

int machine_run(struct machine *m)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old_pipe;
	bool console = false;
	int status;
	sigset_t ours, old;
	struct vmm_error err;

	our_signals(&ours);
	pthread_sigmask(SIG_BLOCK, &ours, &old);
	sigaction(SIGPIPE, &ignore, &old_pipe);
	m->signal_fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signal_fd < 0 || !loop_add(m->loop, m->signal_fd, on_signal, m) ||
	    !loop_add(m->loop, m->end_fd, on_end, m)) {
		machine_message(m, "cannot listen for signals: %s", strerror(errno));
		machine_end(m, MACHINE_FAILED);
	} else {
		console = !console_start(m->console, &err);
		if (console && !vcpus_start(m, &err)) {
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
	close_fd(m->signal_fd);
	m->signal_fd = -1;
	sigaction(SIGPIPE, &old_pipe, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_mutex_lock(&m->lock);
	status = m->status;
	pthread_mutex_unlock(&m->lock);
	return status;
}
