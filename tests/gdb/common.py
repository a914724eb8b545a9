# SPDX-License-Identifier: MIT
"""For the parts of the gdb tests that run inside gdb-multiarch: TAP, and short names for what gdb knows.

Environment: PAWL_GDB_ADDR where the stub listens, PAWL_GDB_CPUS, PAWL_GDB_SYMBOLS an ELF file with the kernel's symbols,
PAWL_GDB_SCRIPT pawl-gdb.py.
"""
import os
import re
import subprocess

import gdb

count = 0
failures = 0
last_stop = None
CPUS = int(os.environ["PAWL_GDB_CPUS"])


interrupt_after = interrupter = None


def remember_stop(event):
    global last_stop, interrupter
    last_stop = event
    if interrupter:
        interrupter.kill()
        interrupter.wait()
        interrupter = None


def resumed(event):
    global interrupt_after, interrupter
    if interrupt_after and not interrupter:
        interrupter = subprocess.Popen(["sh", "-c", "sleep %s; while kill -INT %d; do sleep 5; done" % (interrupt_after, os.getpid())])
        interrupt_after = None


gdb.events.stop.connect(remember_stop)
gdb.events.cont.connect(resumed)


def check(name, ok, detail=""):
    global count, failures
    count += 1
    failures += not ok
    print("%sok %d - %s%s" % ("" if ok else "not ", count, name, "" if ok else ": %s" % (detail,)), flush=True)


def done():
    print("1..%d" % count, flush=True)
    gdb.execute("quit %d" % (1 if failures else 0))


def run(command):
    return gdb.execute(command, to_string=True)


def value(expression):
    return int(gdb.parse_and_eval("(unsigned long)(%s)" % expression)) & (1 << 64) - 1


def reg(name):
    return value("$" + name)


def memory(address, length):
    return bytes(gdb.selected_inferior().read_memory(address, length))


def packet(text):
    """The reply to a packet of ours."""
    return re.search(r'received: "(.*)"', run("maintenance packet " + text), re.S).group(1)


def monitor(command):
    return run("monitor " + command)


def attach(symbols=False):
    for setting in ("pagination off", "confirm off", "architecture aarch64", "step-mode on"):
        run("set " + setting)
    if symbols:
        run("symbol-file " + os.environ["PAWL_GDB_SYMBOLS"])
    run("target remote " + os.environ["PAWL_GDB_ADDR"])
    run("set breakpoint condition-evaluation target")


def interrupt_soon(seconds=0.5):
    """Ctrl-C after the next resumption, from another process: gdb holds Python's lock while it waits for the guest. One that comes
    before the guest runs gdb takes for its own, so again and again until something stops."""
    global interrupt_after
    interrupt_after = seconds


def continue_then_interrupt(seconds=0.5):
    interrupt_soon(seconds)
    return run("continue")


def hit():
    """Number of the breakpoint that stopped it, or None."""
    numbers = [b.number for b in getattr(last_stop, "breakpoints", [])]
    return numbers[0] if numbers else None
