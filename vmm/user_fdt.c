/* SPDX-License-Identifier: MIT */
/*
 * --dtb: the user's own device tree in place of the generated one. It is taken as it is, but for what only the machine
 * knows: /chosen's command line and initrd if there are any, and the memory if the tree names none. Memory that it names
 * must exist. Devicetree Specification, chapters 3.4 (/memory) and 3.6 (/chosen).
 */
#include "board_fdt.h"

#include <inttypes.h>
#include <string.h>

#include <libfdt.h>

static uint64_t number(const fdt32_t *cells, int n)
{
	uint64_t val = 0;

	for (int i = 0; i < n; i++)
		val = val << 32 | fdt32_to_cpu(cells[i]);
	return val;
}

/* The /memory nodes lie in RAM; *found: there is one. */
static int check_memory(const void *tree, const struct fdt_config *c, bool *found, struct vmm_error *err)
{
	int na = fdt_address_cells(tree, 0), ns = fdt_size_cells(tree, 0), node, len;

	*found = false;
	if (na < 1 || na > 2 || ns < 1 || ns > 2)
		return vmm_fail(err, "a root node with #address-cells %d and #size-cells %d", na, ns);
	fdt_for_each_subnode(node, tree, 0)
	{
		const char *type = fdt_getprop(tree, node, "device_type", NULL);
		const fdt32_t *reg = fdt_getprop(tree, node, "reg", &len);

		if (!type || strcmp(type, "memory") != 0 || !reg)
			continue;
		*found = true;
		for (; len >= 4 * (na + ns); reg += na + ns, len -= 4 * (na + ns)) {
			uint64_t at = number(reg, na), size = number(reg + na, ns);

			if (at < c->ram || at - c->ram > c->ram_size || size > c->ram_size - (at - c->ram))
				return vmm_fail(err,
						"memory at %#" PRIx64 ", %" PRIu64 " MiB, and the machine has %" PRIu64
						" MiB at %#" PRIx64 " (--memory)",
						at, size >> 20, c->ram_size >> 20, c->ram);
		}
	}
	return 0;
}

static int subnode(void *tree, const char *name)
{
	int node = fdt_subnode_offset(tree, 0, name);

	return node == -FDT_ERR_NOTFOUND ? fdt_add_subnode(tree, 0, name) : node;
}

static int add_memory(void *tree, const struct fdt_config *c)
{
	char name[32];
	int node, rc;

	snprintf(name, sizeof(name), "memory@%" PRIx64, c->ram);
	node = subnode(tree, name);
	rc = node < 0 ? node : fdt_setprop_string(tree, node, "device_type", "memory");
	return rc ? rc : fdt_appendprop_addrrange(tree, 0, node, "reg", c->ram, c->ram_size);
}

static int set_chosen(void *tree, const struct fdt_config *c)
{
	int node = subnode(tree, "chosen"), rc = node < 0 ? node : 0;

	if (!rc && c->bootargs)
		rc = fdt_setprop_string(tree, node, "bootargs", c->bootargs);
	if (!rc && c->initrd_size)
		rc = fdt_setprop_u64(tree, node, "linux,initrd-start", c->initrd);
	if (!rc && c->initrd_size)
		rc = fdt_setprop_u64(tree, node, "linux,initrd-end", c->initrd + c->initrd_size);
	return rc;
}

int fdt_adopt(void *buf, size_t size, const void *user, size_t user_size, const struct fdt_config *c,
	      struct vmm_error *err)
{
	bool memory;
	int rc = user_size < sizeof(struct fdt_header) ? -FDT_ERR_TRUNCATED : fdt_check_full(user, user_size);

	if (rc)
		return vmm_fail(err, "no device tree: %s", fdt_strerror(rc));
	rc = fdt_open_into(user, buf, (int)size);
	if (rc)
		return vmm_fail(err, "larger than %zu KiB", size >> 10);
	if (check_memory(buf, c, &memory, err))
		return -1;
	rc = memory ? 0 : add_memory(buf, c);
	if (!rc)
		rc = set_chosen(buf, c);
	if (!rc)
		rc = fdt_pack(buf);
	return rc ? vmm_fail(err, "cannot add to the device tree: %s", fdt_strerror(rc)) : 0;
}
