/* SPDX-License-Identifier: MIT */
/* The library's version, which the build knows. */
#include <pawl/pawl.h>

const char *pawl_version(void)
{
	return PAWL_VERSION;
}
