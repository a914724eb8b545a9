/* SPDX-License-Identifier: MIT */
/*
 * From the files that the configuration names to what the first vcpu starts with: reading, unwrapping and placing kernel,
 * initrd and device tree. It happens when the machine is made and again at each reset, and the files are read again
 * then, so that a reset boots what was built meanwhile. RAM that is not loaded keeps its contents over a reset, as a
 * board's does.
 */
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libfdt.h>

#include "board_fdt.h"
#include "flash.h"
#include "fw_cfg.h"

/* What the files hold, and what was found in it. */
struct payload {
	struct bytes kernel, initrd;
	struct image image;
};

void payload_free(struct payload *p)
{
	if (!p)
		return;
	image_free(&p->image);
	bytes_free(&p->kernel);
	bytes_free(&p->initrd);
}

static int payload_read(struct payload *p, struct boot_plan *plan, struct sources *files,
			const struct machine_config *config, struct vmm_error *err)
{
	struct boot_ram ram = {BOARD_RAM, config->memory};
	/* What firmware may ask for at any time must not change under it. */
	int (*get)(struct source *, uint64_t, struct bytes *, struct vmm_error *) =
		config->firmware ? source_read : source_look;
	struct vmm_error inner;

	memset(p, 0, sizeof(*p));
	if (config->kernel) {
		if (get(&files->kernel, config->memory, &p->kernel, err))
			return -1;
		if (image_parse(&p->image, p->kernel.data, p->kernel.size, config->memory, &inner))
			return vmm_fail(err, "--kernel: %.400s: %.400s", config->kernel, inner.text);
	}
	if (config->initrd) {
		if (get(&files->initrd, config->memory, &p->initrd, err))
			return -1;
		if (!p->initrd.size)
			return vmm_fail(err, "--initrd: %.400s: empty", config->initrd);
	}
	if (config->firmware) {
		/* The first vcpu starts at address 0, and firmware looks for the tree at the bottom of RAM. */
		*plan = (struct boot_plan){.dtb = BOARD_RAM};
		if (config->memory < 2 * BOOT_DTB_SIZE)
			return vmm_fail(err, "firmware needs more than %" PRIu64 " MiB of memory (--memory)",
					config->memory >> 20);
		if (config->kernel && p->image.kind != IMAGE_LINUX)
			return vmm_fail(err, "%s: an ELF, and firmware starts EFI programs only", config->kernel);
		return 0;
	}
	if (boot_plan(plan, config->kernel ? &p->image : NULL, p->initrd.size, ram, &inner))
		return vmm_fail(err, "%s: %.400s",
				config->kernel	 ? config->kernel
				: config->initrd ? config->initrd
						 : "guest",
				inner.text);
	return 0;
}

static int open_for(const char *option, struct source *s, const char *path, uint64_t limit, struct vmm_error *err)
{
	struct vmm_error inner;

	return path && source_open(s, path, limit, &inner) ? vmm_fail(err, "%s: %.490s", option, inner.text) : 0;
}

int sources_open(struct sources *files, const struct machine_config *config, struct vmm_error *err)
{
	if (open_for("--kernel", &files->kernel, config->kernel, config->memory, err) ||
	    open_for("--initrd", &files->initrd, config->initrd, config->memory, err) ||
	    open_for("--firmware", &files->firmware, config->firmware, FLASH_BANK, err) ||
	    open_for("--dtb", &files->dtb, config->dtb, BOOT_DTB_SIZE, err))
		return -1;
	return 0;
}

void sources_close(struct sources *files)
{
	source_close(&files->firmware);
	source_close(&files->dtb);
	source_close(&files->kernel);
	source_close(&files->initrd);
}

static int adopt_tree(void *buf, const struct machine_config *config, struct sources *files,
		      const struct fdt_config *tree, struct vmm_error *err)
{
	struct vmm_error inner;
	struct bytes b;
	int rc;

	if (source_read(&files->dtb, BOOT_DTB_SIZE, &b, err))
		return -1;
	rc = fdt_adopt(buf, BOOT_DTB_SIZE, b.data, b.size, tree, &inner);
	bytes_free(&b);
	return rc ? vmm_fail(err, "--dtb: %s: %.400s", config->dtb, inner.text) : 0;
}

static int build_tree(void *buf, const struct machine_config *config, struct sources *files,
		      const struct boot_plan *plan, const uint64_t *mpidr, struct vmm_error *err)
{
	struct fdt_config tree = {
		.devices = board_devices,
		.n_devices = board_n_devices,
		.n_virtio = config->n_virtio,
		.machine = config,
		.ram = BOARD_RAM,
		.ram_size = config->memory,
		.n_cpus = config->smp,
		.mpidr = mpidr,
		.gic_dist = BOARD_GIC_DIST,
		.gic_dist_size = BOARD_GIC_DIST_SIZE,
		.gic_redist = BOARD_GIC_REDIST,
		.gic_redist_size = (uint64_t)config->smp * BOARD_GIC_REDIST_SIZE,
		.initrd = plan->initrd,
		.initrd_size = plan->initrd_size,
		.bootargs = config->append,
	};

	if (config->dtb)
		return adopt_tree(buf, config, files, &tree, err);
	if (getrandom(&tree.kaslr_seed, sizeof(tree.kaslr_seed), 0) != sizeof(tree.kaslr_seed) ||
	    getrandom(tree.rng_seed, sizeof(tree.rng_seed), 0) != sizeof(tree.rng_seed))
		return vmm_fail(err, "no random numbers: %s", strerror(errno));
	return fdt_build(buf, BOOT_DTB_SIZE, &tree, err);
}

static int fill_ram(struct machine *m, const struct payload *p, struct vmm_error *err)
{
	uint64_t mpidr[MACHINE_MAX_VCPUS];
	uint8_t *tree = machine_ram(m, m->plan.dtb, BOOT_DTB_SIZE);

	for (unsigned i = 0; i < m->n_vcpus; i++)
		mpidr[i] = m->vcpus[i].mpidr;
	if (!m->firmware)
		boot_load(&m->plan, &p->image, m->host_ram, m->ram);
	if (p->initrd.data && !m->firmware)
		memcpy(m->host_ram + (m->plan.initrd - m->ram.ipa), p->initrd.data, p->initrd.size);
	if (build_tree(tree, &m->config, &m->files, &m->plan, mpidr, err))
		return -1;
#if defined(__aarch64__)
	/* The guest starts with its caches off or not yet coherent with the host's. */
	__builtin___clear_cache((char *)m->host_ram + (m->plan.kernel - m->ram.ipa),
				(char *)m->host_ram + (m->plan.kernel_end - m->ram.ipa));
	__builtin___clear_cache((char *)tree, (char *)tree + fdt_totalsize(tree));
#endif
	return 0;
}

static int fill_flash(struct machine *m, struct vmm_error *err)
{
	static const uint8_t elf[4] = {0x7f, 'E', 'L', 'F'};
	struct bytes b;
	int rc = 0;

	if (source_look(&m->files.firmware, FLASH_BANK, &b, err))
		return -1;
	if (!b.size || (b.size >= sizeof(elf) && !memcmp(b.data, elf, sizeof(elf))) || image_is_text(b.data, b.size))
		rc = vmm_fail(err, "--firmware: %.400s: %s", m->config.firmware,
			      !b.size		    ? "empty"
			      : b.data[0] == elf[0] ? "an ELF; a flash takes raw bytes"
						    : "a text file, not firmware");
	else
		memcpy(m->firmware, b.data, b.size);
#if defined(__aarch64__)
	__builtin___clear_cache((char *)m->firmware, (char *)m->firmware + b.size);
#endif
	bytes_free(&b);
	return rc;
}

/* What firmware may boot by itself stays in memory for it. */
static void offer(struct machine *m, struct payload *p)
{
	size_t cmdline = m->config.append ? strlen(m->config.append) + 1 : 0;

	fw_cfg_set(m->fw_cfg, FW_CFG_KERNEL_DATA, p->image.data, p->image.size);
	fw_cfg_set_number(m->fw_cfg, FW_CFG_KERNEL_SIZE, (uint32_t)p->image.size, 4);
	fw_cfg_set(m->fw_cfg, FW_CFG_INITRD_DATA, p->initrd.data, p->initrd.size);
	fw_cfg_set_number(m->fw_cfg, FW_CFG_INITRD_SIZE, (uint32_t)p->initrd.size, 4);
	fw_cfg_set(m->fw_cfg, FW_CFG_CMDLINE_DATA, m->config.append, cmdline);
	fw_cfg_set_number(m->fw_cfg, FW_CFG_CMDLINE_SIZE, (uint32_t)cmdline, 4);
}

int machine_load(struct machine *m, struct vmm_error *err)
{
	struct payload *p = malloc(sizeof(*p));
	int rc;

	if (!p)
		return vmm_fail(err, "no memory");
	rc = payload_read(p, &m->plan, &m->files, &m->config, err);
	if (!rc)
		rc = fill_ram(m, p, err);
	if (!rc && m->firmware)
		rc = fill_flash(m, err);
	if (!rc && m->fw_cfg) {
		struct payload *old = m->payload;

		pthread_mutex_lock(&m->fw_cfg->dev.lock);
		offer(m, p);
		pthread_mutex_unlock(&m->fw_cfg->dev.lock);
		m->payload = p;
		p = old;
	}
	payload_free(p);
	free(p);
	return rc ? rc : vcpus_set_entry(m, err);
}

/* ---- --dump-dtb */

static int save(const char *path, const uint8_t *data, size_t size, struct vmm_error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), rc = 0;
	struct stat st;

	if (fd < 0)
		return vmm_fail(err, "%s: %s", path, strerror(errno));
	for (size_t done = 0; done < size && !rc;) {
		ssize_t n = write(fd, data + done, size - done);

		if (n < 0)
			rc = vmm_fail(err, "%s: %s", path, strerror(errno));
		else
			done += (size_t)n;
	}
	if (close(fd) && !rc)
		rc = vmm_fail(err, "%s: %s", path, strerror(errno));
	if (rc && !stat(path, &st) && S_ISREG(st.st_mode)) /* a device or a pipe is not ours to remove */
		unlink(path);
	return rc;
}

int machine_dump_dtb(const struct machine_config *config, const char *path, struct vmm_error *err)
{
	struct sources files = {0};
	struct boot_plan plan;
	struct payload p = {0};
	uint64_t mpidr[MACHINE_MAX_VCPUS];
	uint8_t *tree = NULL;
	int rc = -1;

	/* As KVM numbers them; see KVM_CREATE_VCPU */
	for (unsigned i = 0; i < config->smp; i++)
		mpidr[i] = (i & 0xf) | (uint64_t)(i >> 4 & 0xff) << 8 | (uint64_t)(i >> 12 & 0xff) << 16;
	if (machine_check_memory(config, err) || sources_open(&files, config, err) ||
	    payload_read(&p, &plan, &files, config, err))
		goto out;
	tree = malloc(BOOT_DTB_SIZE);
	if (!tree) {
		vmm_fail(err, "no memory for the device tree");
		goto out;
	}
	if (build_tree(tree, config, &files, &plan, mpidr, err))
		goto out;
	fdt_pack(tree);
	rc = save(path, tree, fdt_totalsize(tree), err);
out:
	free(tree);
	payload_free(&p);
	sources_close(&files);
	return rc;
}
