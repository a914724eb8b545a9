# SPDX-License-Identifier: MIT
"""Breakpoints and watchpoints in numbers, with conditions; steps; the scheduler; Ctrl-C at any time."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common  # noqa: E402
from common import (CPUS, attach, check, continue_then_interrupt, done, gdb, hit, interrupt_soon, memory,  # noqa: E402
                    monitor, packet, reg, run, value)

attach(symbols=True)
check("vCont has all actions", packet("vCont?") == "vCont;c;C;s;S;t;r")

# ---- conditions
SYSCALL_NUMBER = "*(unsigned long *)($x0 + 64)"  # pt_regs.regs[8]
SOON_BACK = "hbreak do_el0_svc if %s == 64" % SYSCALL_NUMBER  # write: others may sleep, or never come back
run(SOON_BACK)
run("continue")
check("a condition on memory stops where it is true", hit() and value(SYSCALL_NUMBER) == 64)
run("delete")
run("set breakpoint always-inserted on")
run("break do_el0_svc if $x0 == 1")
continue_then_interrupt()
check("gdb leaves conditions to the target", "target evals" in run("info breakpoints"), run("info breakpoints"))
check("a condition that is never true never stops", getattr(common.last_stop, "stop_signal", "") == "SIGINT", common.last_stop)
skipped = re.search(r"1 conditions, hit (\d+) times, (\d+) of them passed by", monitor("breakpoints"))
check("monitor breakpoints counts what was passed by", skipped and int(skipped.group(1)) == int(skipped.group(2)) > 0,
      monitor("breakpoints"))
run("delete")
run("set breakpoint always-inserted off")
# more conditional breakpoints than comparators: some are BRKs, which all vcpus must not pass while one steps off
some = ["do_el0_svc", "el0_svc", "el0t_64_sync_handler", "invoke_syscall", "el0_svc_common.constprop.0", "vfs_read", "vfs_write",
        "ksys_read", "ksys_write", "schedule", "__schedule", "try_to_wake_up"]
for name in some:
    run("break %s if $x0 == 0x123456" % name)
interrupt_soon()
run("continue")
check("%d conditional breakpoints can be passed by on %d vcpus" % (len(some), CPUS),
      getattr(common.last_stop, "stop_signal", "") == "SIGINT", common.last_stop)
run("delete")

# ---- numbers
known = list(dict.fromkeys(n for n in re.findall(r"0xffff\w+\s+(\S+)$", run("info functions ^__arm64_sys_"), re.M)))[:100]
for name in known:
    run("break %s" % name)
run("continue")
check("%d software breakpoints: one is hit" % len(known), len(known) == 100 and hit(), (len(known), common.last_stop))
run("delete")
run(SOON_BACK)
run("continue")
run("delete")
sp = reg("sp")
for i in range(12):
    run("watch *(long *)%#x" % (sp - 16 - 64 * i))
run("continue")
check("12 watchpoints: a store to one of them stops", hit() and common.last_stop.breakpoints[0].type == gdb.BP_HARDWARE_WATCHPOINT,
      common.last_stop)
run("delete")
run(SOON_BACK)
run("continue")
run("delete")
run("rwatch *(long *)%#x" % (reg("sp") - 16))  # where the function saves its frame record
run("continue")
check("a read watchpoint stops at a load", hit() and memory(reg("pc") - 4, 4)[3] & 0xFF == 0xA8, run("x/2i $pc - 4"))
run("delete")
run(SOON_BACK)
run("continue")
run("delete")
run("awatch *(long *)%#x" % (reg("sp") - 16))
run("continue")
check("an access watchpoint stops at the store before it", hit() and memory(reg("pc") - 4, 4)[3] & 0xFF == 0xA9, run("x/2i $pc - 4"))
run("delete")

# ---- steps
run(SOON_BACK)
run("continue")
run("delete")
run("step")  # no line numbers: a range step until the function's end
check("a step out of a function is a range step", "el0_svc" in run("info symbol $pc") or "do_el0_svc" not in run("info symbol $pc"),
      run("info symbol $pc"))
pcs = set()
for _ in range(100):
    run("stepi")
    pcs.add(reg("pc"))
check("with interrupts held, steps stay in the kernel's path", not [p for p in pcs if "el1h_64_irq" in run("info symbol %#x" % p)])

# ---- threads
threads = sorted(gdb.selected_inferior().threads(), key=lambda t: t.num)
check("every vcpu is a thread", len(threads) == CPUS)
run("set scheduler-locking on")
threads[0].switch()
still = reg("pc")
threads[1].switch()
for _ in range(20):
    run("stepi")
threads[0].switch()
check("a locked scheduler moves one vcpu only", reg("pc") == still)
for t in threads:
    t.switch()
    continue_then_interrupt(0.5)
    check("Ctrl-C answers when only vcpu %d runs" % (t.num - 1), getattr(common.last_stop, "stop_signal", "") == "SIGINT")
run("set scheduler-locking off")

# ---- WFI
run("hbreak cpu_do_idle")
run("continue")
run("delete")
for _ in range(30):
    if memory(reg("pc"), 4) == b"\x7f\x20\x03\xd5":
        break
    run("stepi")
pc = reg("pc")
run("stepi")
check("a step over WFI returns at once", reg("pc") == pc + 4 and memory(pc, 4) == b"\x7f\x20\x03\xd5", (hex(pc), hex(reg("pc"))))
run("set var $pc = %#x" % pc)
run("set scheduler-locking on")
continue_then_interrupt(0.5)
check("Ctrl-C answers in WFI", getattr(common.last_stop, "stop_signal", "") == "SIGINT", common.last_stop)

# ---- the tightest loop, where the kernel masks interrupts
pc, word = reg("pc"), memory(reg("pc"), 4)
masked = int(run("info registers cpsr").split()[1], 0) & 0x80
gdb.selected_inferior().write_memory(pc, b"\x00\x00\x00\x14")  # b .
continue_then_interrupt(0.5)
check("Ctrl-C answers in a branch to itself", masked and getattr(common.last_stop, "stop_signal", "") == "SIGINT" and reg("pc") == pc, hex(reg("pc")))
gdb.selected_inferior().write_memory(pc, word)
run("set scheduler-locking off")
run("detach")
done()
