/* SPDX-License-Identifier: MIT */
/*
 * Which CPU a VM has: the model of PAWL_CPU or of PAWL_CAP_CPU_MODEL (<pawl/pawl.h>), an extension that no client needs.
 * It is to the VM what the host's own CPU is to one of the kernel's: the ID registers can be lowered from there (idreg.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pawl/pawl.h>

#include "core.h"

enum { TEXT_MAX = 512 };

#define PUBLIC __attribute__((visibility("default")))

PUBLIC const char *pawl_cpu_model(unsigned i, const char **what)
{
	return cpu_model_name(i, what);
}

PUBLIC const char *pawl_cpu_feature(unsigned i)
{
	return cpu_model_switch(i);
}

PUBLIC bool pawl_cpu_model_is_valid(const char *text, char *why, size_t len)
{
	struct cpu_model m;

	return cpu_model_parse(text, &m, why, len) == 0;
}

/* The model that VMs start with. 0, or -EINVAL: said on standard error. */
static int model_from_environment(struct cpu_model *m, bool *given)
{
	const char *text = getenv("PAWL_CPU");
	char why[160];

	*given = text && *text;
	if (!*given || !cpu_model_parse(text, m, why, sizeof(why)))
		return 0;
	fprintf(stderr, "pawl: PAWL_CPU=%s: %s\n", text, why);
	return -EINVAL;
}

int model_vm_init(struct vm *vm)
{
	struct cpu_model m;
	bool given;
	int err = model_from_environment(&m, &given);

	if (!err && given)
		cpu_group_set_model(vm->group, &m);
	return err;
}

bool model_has_ptrauth(const struct vm *vm)
{
	struct cpu_model m;
	bool given;

	if (vm)
		return cpu_model_has_pauth(cpu_group_model(vm->group));
	return !model_from_environment(&m, &given) && given && cpu_model_has_pauth(&m);
}

/* Byte by byte up to the end: the text may lie at the end of what is mapped. */
static int read_text(char *to, uint64_t from)
{
	for (unsigned i = 0; i < TEXT_MAX; i++) {
		int err = client_read(&to[i], from + i, 1);

		if (err || !to[i])
			return err;
	}
	return -EINVAL;
}

/* KVM_ENABLE_CAP */
int model_enable_cap(struct vm *vm, uint64_t name)
{
	char text[TEXT_MAX], why[160];
	struct cpu_model m;
	int err = read_text(text, name);

	if (!err)
		err = cpu_model_parse(text, &m, why, sizeof(why));
	if (err)
		return err;
	pthread_mutex_lock(&vm->lock);
	if (atomic_load(&vm->n_vcpus))
		err = -EBUSY;
	else
		cpu_group_set_model(vm->group, &m);
	pthread_mutex_unlock(&vm->lock);
	return err;
}
