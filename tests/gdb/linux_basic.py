# SPDX-License-Identifier: MIT
"""What a debugger does every day, in a kernel that is up and busy, with the addresses that its registers tell and no symbols."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common  # noqa: E402
from common import CPUS, attach, check, continue_then_interrupt, done, gdb, hit, memory, monitor, reg, run  # noqa: E402

attach()
check("every vcpu is a thread", len(gdb.selected_inferior().threads()) == CPUS)
check("EL1 system registers are there", reg("TTBR1_EL1") != 0 and reg("SCTLR_EL1") & 1 == 1)
check("general registers and PSTATE are there", "cpsr" in run("info registers") and "v31" in run("info all-registers"))
continue_then_interrupt()
check("Ctrl-C stops it", getattr(common.last_stop, "stop_signal", "") == "SIGINT", common.last_stop)
for _ in range(20):  # into the kernel, where VBAR_EL1 is that of its own vectors
    if int(run("info registers cpsr").split()[1], 0) & 0xC:
        break
    continue_then_interrupt(0.2)
vectors = reg("VBAR_EL1")
word = int.from_bytes(memory(vectors + 0x400, 4), "little")
check("kernel memory is read through the guest's tables", word not in (0, 0xFFFFFFFF), hex(word))
run("break *%#x" % (vectors + 0x200 + 0x80))  # an interrupt of EL1
run("break *%#x" % (vectors + 0x400))
run("break *%#x" % (vectors + 0x480))
run("continue")
check("a software breakpoint at a vector is hit", hit() and reg("pc") - vectors in (0x280, 0x400, 0x480), hex(reg("pc")))
check("a breakpoint is invisible in memory", int.from_bytes(memory(vectors + 0x400, 4), "little") == word)
run("delete")
before = reg("pc")
run("stepi")
check("one step is one instruction", reg("pc") != before)
run("hbreak *%#x" % (vectors + 0x280))
run("hbreak *%#x" % (vectors + 0x480))
run("continue")
check("a hardware breakpoint is hit", hit() and reg("pc") - vectors in (0x280, 0x480), hex(reg("pc")))
run("delete")
sp = reg("sp")
run("watch *(long *)%#x" % (sp - 336 + 16))
run("continue")
check("a watchpoint on the kernel's stack is hit", hit() and common.last_stop.breakpoints[0].type == gdb.BP_HARDWARE_WATCHPOINT,
      common.last_stop)
run("delete")
old = reg("x5")
run("set $x5 = 0x1234")
check("registers can be written", reg("x5") == 0x1234)
run("set $x5 = %#x" % old)
check("monitor translate answers", "IPA" in monitor("translate %#x" % vectors))
pcs = set()
for _ in range(200):
    run("stepi")
    pcs.add(reg("pc"))
check("200 steps go through code", len(pcs) > 10, len(pcs))
run("detach")
done()
