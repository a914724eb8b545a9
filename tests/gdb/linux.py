# SPDX-License-Identifier: MIT
"""The real gdb against a real kernel, run inside gdb-multiarch by linux_test.sh.

Debian's kernel has no symbols; the addresses used are those that its registers tell: the vectors (VBAR_EL1), the stack.
Prints TAP. Environment: PAWL_GDB_ADDR, PAWL_GDB_CPUS, and PAWL_GDB_PART, "early" (guest held at its first instruction,
PAWL_GDB_VECTORS is known from a run before) or "late" (guest has booted and is busy).
"""
import os
import subprocess

import gdb

count = 0
failures = 0
last_stop = None


def remember_stop(event):
    global last_stop
    last_stop = event


gdb.events.stop.connect(remember_stop)


def check(name, ok, detail=""):
    global count, failures
    count += 1
    failures += not ok
    print("%sok %d - %s%s" % ("" if ok else "not ", count, name, "" if ok else ": %s" % (detail,)), flush=True)


def reg(name):
    return int(gdb.parse_and_eval("(unsigned long)$" + name))


def run(command):
    return gdb.execute(command, to_string=True)


def attach():
    for setting in ("pagination off", "confirm off", "architecture aarch64", "step-mode on"):
        run("set " + setting)
    run("target remote " + os.environ["PAWL_GDB_ADDR"])


def continue_then_interrupt(seconds):
    """Ctrl-C, from another process: gdb holds Python's lock while it waits for the guest."""
    subprocess.Popen(["sh", "-c", "sleep %d; kill -INT %d" % (seconds, os.getpid())])
    return run("continue")


def early():
    vectors = int(os.environ["PAWL_GDB_VECTORS"], 0)
    attach()
    start = reg("pc")
    check("the guest is held at its first instruction, MMU off", reg("SCTLR_EL1") & 1 == 0 and start >= 0x40000000, hex(start))
    check("x0 is the device tree", gdb.parse_and_eval("*(unsigned *)$x0") == 0xEDFE0DD0, hex(reg("x0")))
    check("every vcpu is a thread", len(gdb.selected_inferior().threads()) == int(os.environ["PAWL_GDB_CPUS"]))
    run("stepi")
    check("a step goes to the next instruction", reg("pc") != start)
    run("thread 1")
    run("hbreak *%#x" % (vectors + 0x200))
    run("break *%#x" % (vectors + 0x280))
    run("continue")
    check("a breakpoint set before the MMU is on stops the kernel after it",
          reg("pc") in (vectors + 0x200, vectors + 0x280) and reg("SCTLR_EL1") & 1 == 1, hex(reg("pc")))
    run("delete")
    run("kill")


def late():
    attach()
    check("every vcpu is a thread", len(gdb.selected_inferior().threads()) == int(os.environ["PAWL_GDB_CPUS"]))
    vectors = reg("VBAR_EL1")
    print("# VECTORS %#x" % vectors)
    check("EL1 system registers are there", vectors >> 48 == 0xFFFF and reg("TTBR1_EL1") != 0, hex(vectors))
    check("general registers and PSTATE are there", "cpsr" in run("info registers") and "v31" in run("info all-registers"))
    word = int(gdb.parse_and_eval("*(unsigned *)%#x" % (vectors + 0x400)))
    check("kernel memory is read through the guest's tables", word not in (0, 0xFFFFFFFF), hex(word))

    continue_then_interrupt(1)
    check("Ctrl-C stops it", getattr(last_stop, "stop_signal", "") == "SIGINT", last_stop)
    run("break *%#x" % (vectors + 0x400))
    run("continue")
    check("a software breakpoint at the system call vector is hit", reg("pc") == vectors + 0x400, hex(reg("pc")))
    check("the exception syndrome tells of an exception from user space", reg("ESR_EL1") >> 26 in (0x15, 0x20, 0x24, 0x07, 0x18), hex(reg("ESR_EL1")))
    check("a breakpoint is invisible in memory", int(gdb.parse_and_eval("*(unsigned *)%#x" % (vectors + 0x400))) == word)
    user_pc = reg("ELR_EL1")
    try:
        text = run("x/i %#x" % (user_pc - 4))
    except gdb.MemoryError as e:
        text = str(e)
    check("user memory is read through TTBR0 or is clearly unmapped", "svc" in text or "Cannot access" in text or ":" in text, text)
    run("delete")

    before = reg("pc")
    run("stepi")
    check("one step is one instruction", reg("pc") != before)
    run("hbreak *%#x" % (vectors + 0x400))
    run("continue")
    check("a hardware breakpoint is hit", reg("pc") == vectors + 0x400, hex(reg("pc")))
    run("delete")
    sp = reg("sp")
    run("watch *(long *)%#x" % (sp - 336 + 16))
    run("continue")
    hit = [b.type for b in getattr(last_stop, "breakpoints", [])]
    check("a watchpoint on the kernel's stack is hit", hit and hit[0] == gdb.BP_HARDWARE_WATCHPOINT, hit)
    run("delete")
    old = reg("x5")
    run("set $x5 = 0x1234")
    check("registers can be written", reg("x5") == 0x1234)
    run("set $x5 = %#x" % old)
    check("monitor translate answers", "IPA" in run("monitor translate %#x" % vectors))
    pcs = set()
    for _ in range(200):
        run("stepi")
        pcs.add(reg("pc"))
    check("200 steps go through code", len(pcs) > 10, len(pcs))
    run("detach")


{"early": early, "late": late}[os.environ["PAWL_GDB_PART"]]()
print("1..%d" % count, flush=True)
gdb.execute("quit %d" % (1 if failures else 0))
