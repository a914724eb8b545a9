/* SPDX-License-Identifier: MIT */
#include "library.h"

#include <dlfcn.h>
#include <string.h>

bool library_load(const char *soname, const struct library_function *functions, size_t n, const char **why)
{
	void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; library && i < n; i++) {
		void *at = dlsym(library, functions[i].name);

		if (!at) {
			library = NULL;
			break;
		}
		memcpy(functions[i].at, &at, sizeof(at));
	}
	if (!library)
		*why = dlerror();
	return library;
}
