# SPDX-License-Identifier: MIT
"""The debugging part of demo.sh, run inside gdb-multiarch.

Stops Debian's kernel at four instructions that a hypervisor must emulate, single-steps each of them once, and shows
where PC went and which exits carried it. Debian's kernel comes without symbols; where those instructions are is
known from the exit trace of the boot before (docs/trace.md; same kernel, nokaslr).

Environment: PAWL_DEMO_BOOT  trace of a whole boot
             PAWL_DEMO_LIVE  trace of the guest under this debugger
             PAWL_DEMO_GDB   where it listens for gdb
             PAWL_DEMO_FD    descriptor that the report goes to (1)
"""
import os
import re

import gdb

UART = range(0x09000000, 0x09001000)
GIC = range(0x08000000, 0x09000000)
KERNEL = 1 << 63
TRIES = 40


def fields(line):
    return dict(re.findall(r"(\w+)=([0-9a-f,]+)", line))


def say(text=""):
    """Past gdb's own standard output, which demo.sh throws away: it announces every stop."""
    os.write(int(os.environ.get("PAWL_DEMO_FD", "1")), (text + "\n").encode())


def trap_pc(line):
    """The instruction that trapped. A hypercall's preferred return, which the trace shows, is the one behind it."""
    return int(fields(line)["pc"], 16) - (4 if " HVC " in line else 0)


class Kind:
    """One of the four: how to find it in a trace, and what to call it."""

    def __init__(self, letter, title, match):
        self.letter, self.title, self.match = letter, title, match
        self.pc = None


def in_range(line, addresses, direction=""):
    return " DABT " in line and int(fields(line)["ipa"], 16) in addresses and line.rstrip().endswith(direction)


KINDS = [
    Kind("a", "a store to the UART: MMIO emulated by the VMM", lambda s: in_range(s, UART, "write")),
    Kind("b", "an access to the GIC: MMIO emulated in the kernel's place", lambda s: in_range(s, GIC)),
    Kind("c", "a system register that is trapped and emulated", lambda s: " SYS " in s),
    Kind("d", "a hypercall", lambda s: " HVC " in s),
]


def first_places(path):
    """Kinds in the order in which the boot meets them, each with the PC of its first trap in the kernel proper."""
    found = []
    with open(path) as trace:
        for line in trace:
            if " trap " not in line or trap_pc(line) < KERNEL:
                continue
            for kind in KINDS:
                if kind not in found and kind.match(line):
                    kind.pc = trap_pc(line)
                    found.append(kind)
    return found


def pc():
    return int(gdb.parse_and_eval("(unsigned long)$pc"))


def trace_since(path, offset):
    with open(path) as trace:
        trace.seek(offset)
        return trace.read().splitlines()


def step_at(kind, live):
    """Stop at kind's place and step; again if that execution did not trap or an interrupt came first."""
    breakpoint = gdb.Breakpoint("*%#x" % kind.pc, gdb.BP_HARDWARE_BREAKPOINT, internal=True)
    try:
        for _ in range(TRIES):
            gdb.execute("continue", to_string=True)
            before = pc()
            text = gdb.execute("x/i $pc", to_string=True).strip()
            at = os.path.getsize(live)
            gdb.execute("stepi", to_string=True)
            lines = trace_since(live, at)
            if any(kind.match(s) for s in lines if " trap " in s) and pc() == before + 4:
                return before, text, lines
    finally:
        breakpoint.delete()
    return None


def show(kind, before, text, lines):
    text = re.sub(r"^=>\s*|\s+", lambda m: "" if m.group().startswith("=>") else " ", text)
    say("(%s) %s" % (kind.letter, kind.title))
    say("      stepped    %s" % text)
    say("      PC         %x -> %x" % (before, pc()))
    for line in lines:
        words = line.split()
        if words[1] == "trap" and words[2] != "STEP":
            what = [w for w in words[3:] if not w.startswith("pc=")]
            say("      trapped    %s %s" % (words[2], " ".join(what)))
        elif words[1] == "return":
            what = [w for w in words[3:] if not w.startswith("pc=")]
            say("      KVM_RUN    %s %s" % (words[2], " ".join(what)))
    say()


def main():
    live = os.environ["PAWL_DEMO_LIVE"]
    places = first_places(os.environ["PAWL_DEMO_BOOT"])
    failed = [k for k in KINDS if k.pc is None]
    for setting in ("pagination off", "confirm off", "architecture aarch64", "step-mode on"):
        gdb.execute("set " + setting, to_string=True)
    gdb.execute("target remote " + os.environ["PAWL_DEMO_GDB"], to_string=True)
    say("attached; the guest is at its first instruction, PC %x\n" % pc())
    done = {}
    for kind in places:
        result = step_at(kind, live)
        if result:
            show(kind, *result)
            done[kind] = result
        else:
            failed.append(kind)
    say("detaching: the guest boots on")
    gdb.execute("detach", to_string=True)
    for kind in failed:
        say("FAILED: (%s) %s: not stepped" % (kind.letter, kind.title))
    gdb.execute("quit %d" % (1 if failed else 0))


main()
