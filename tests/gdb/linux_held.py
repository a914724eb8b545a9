# SPDX-License-Identifier: MIT
"""A guest that is held before its first instruction. PAWL_GDB_KASLR: "on", or "off" for a kernel that runs where it was linked."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import CPUS, attach, check, done, gdb, hit, memory, monitor, reg, run, value  # noqa: E402

attach(symbols=True)
start = reg("pc")
check("the guest is held at its first instruction, MMU off", reg("SCTLR_EL1") & 1 == 0 and start >= 0x40000000, hex(start))
check("x0 is the device tree", memory(reg("x0"), 4) == b"\xd0\x0d\xfe\xed", hex(reg("x0")))
check("every vcpu is a thread", len(gdb.selected_inferior().threads()) == CPUS)
check("the kernel's image is found in memory", "not mapped yet" in monitor("kernel"), monitor("kernel"))
run("stepi")
check("a step goes to the next instruction", reg("pc") != start)
linked = value("&start_kernel")
if os.environ["PAWL_GDB_KASLR"] == "on":
    run("source " + os.environ["PAWL_GDB_SCRIPT"])
    run("break start_kernel")
    run("pawl-kernel")
    check("pawl-kernel runs it to where it has its place, and moves the symbols there",
          value("&start_kernel") != linked and reg("SCTLR_EL1") & 1 == 1 and "primary_switched" in run("info symbol $pc"),
          run("info symbol $pc"))
else:
    run("break start_kernel")
    for i in range(1, 20):
        run("break *((char *)&start_kernel + %d)" % (4 * i))
run("continue")
check("a breakpoint from before the MMU was on stops the kernel after it",
      hit() and reg("pc") == value("&start_kernel") and reg("SCTLR_EL1") & 1 == 1, hex(reg("pc")))
if os.environ["PAWL_GDB_KASLR"] == "off":
    run("continue")
    check("twenty of them from before the MMU was on all work", hit() and reg("pc") == value("&start_kernel") + 4, hex(reg("pc")))
run("kill")
done()
