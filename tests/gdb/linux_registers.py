# SPDX-License-Identifier: MIT
"""Registers, memory, views and monitor commands, in a kernel that runs anywhere (KASLR) on a CPU with pointer authentication."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import attach, check, done, gdb, memory, monitor, packet, reg, run, value  # noqa: E402


def crc32_mpeg(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


attach(symbols=True)
vectors = value("&vectors")
run("hbreak do_el0_svc")
run("continue")
run("delete")
check("symbols are where the kernel runs, by qOffsets alone", vectors == reg("VBAR_EL1"), (hex(vectors), hex(reg("VBAR_EL1"))))

# ---- the target description
for group, name in (("system", "SCTLR_EL1"), ("mmu", "TTBR1_EL1"), ("timer", "CNTV_CVAL_EL0"), ("gic", "ICC_PMR_EL1"),
                    ("debug", "MDSCR_EL1"), ("id", "ID_AA64MMFR0_EL1"), ("key", "APIAKEYLO_EL1")):
    text = run("info registers " + group)
    check("group %s has %s" % (group, name), re.search(r"^%s\s+0x" % name, text, re.M), text)
everything = run("info all-registers")
check("every register can be read", "unavailable" not in everything and len(everything.splitlines()) > 200,
      [line for line in everything.splitlines() if "unavailable" in line][:5])
names = re.findall(r"^([A-Z][A-Z0-9_]*_EL[01]|S3_\w+)\s", everything, re.M)
check("none has to be called by its encoding", not [n for n in names if n.startswith("S3_")],
      [n for n in names if n.startswith("S3_")])
old = reg("CONTEXTIDR_EL1")
run("set $CONTEXTIDR_EL1 = 0x1234")
check("a system register can be written", reg("CONTEXTIDR_EL1") == 0x1234)
run("set $CONTEXTIDR_EL1 = %#x" % old)
pmr = reg("ICC_PMR_EL1")
run("set $ICC_PMR_EL1 = 0x80")
run("maintenance flush register-cache")
check("a register of the GIC CPU interface can be written", reg("ICC_PMR_EL1") == 0x80, hex(reg("ICC_PMR_EL1")))
run("set $ICC_PMR_EL1 = %#x" % pmr)
va_bits = 64 - (reg("TCR_EL1") & 0x3F)
check("the PAC mask leaves the bits of an address", reg("pauth_cmask") & (1 << va_bits) - 1 == 0 and reg("pauth_cmask") >> va_bits & 1,
      hex(reg("pauth_cmask")))

# ---- back traces of signed code
check("the script is sourced without a word", run("source " + os.environ["PAWL_GDB_SCRIPT"]) == "")
run("hbreak do_el0_svc")
run("continue")
check("break at a function by its name", value("$pc") - value("&do_el0_svc") in (0, 4, 8), run("info symbol $pc"))
trace = run("bt")
signed = int.from_bytes(memory(reg("x29") + 8, 8), "little")
check("return addresses of the kernel are signed", signed >> 48 != 0xFFFF, hex(signed))
check("a back trace goes through them to the entry from user space", "el0t_64_sync" in trace, trace)
run("delete")

# ---- memory
check("the memory map covers both halves", len(re.findall(r" rw ", run("info mem"))) == 2, run("info mem"))
data = memory(vectors, 0x800)
check("qCRC is that of the memory", packet("qCRC:%x,800" % vectors) == "C%x" % crc32_mpeg(data))
needle = data[0x404:0x40C]
found = run("find /w %#x, +0x800, %#x, %#x" % (vectors, int.from_bytes(needle[:4], "little"), int.from_bytes(needle[4:], "little")))
check("find is done by the stub", "%#x" % (vectors + data.find(needle)) in found, found)
scratch = reg("sp") - 4096 & ~0xFFF
saved = memory(scratch, 300)
gdb.selected_inferior().write_memory(scratch, bytes(range(256)) + b"}#$*" * 11)
check("binary writes keep every byte", memory(scratch, 300) == bytes(range(256)) + b"}#$*" * 11)
gdb.selected_inferior().write_memory(scratch, saved)

# ---- views
ipa = int(re.search(r"IPA (0x[0-9a-f]+)", monitor("translate %#x" % vectors)).group(1), 0)
monitor("view physical")
run("maintenance flush dcache")
check("a physical view sees the same memory at its physical address", memory(ipa, 0x800) == data)
monitor("view virtual")
run("maintenance flush dcache")
check("and the virtual one is back", memory(vectors, 0x800) == data)


def user_stop():
    """At the next system call: (ASID, user's PC, bytes there)"""
    run("maintenance flush dcache")
    pc = reg("ELR_EL1") & ~0xFFF
    return reg("TTBR1_EL1") >> 48, pc, memory(pc, 64)


run("hbreak do_el0_svc")
spaces = {}
for _ in range(60):
    run("continue")
    asid, pc, code = user_stop()
    spaces.setdefault(asid, (pc, code))
    if len(spaces) > 1 and asid != first:
        break
    first = next(iter(spaces))
check("the guest has more than one address space", len(spaces) > 1, spaces)


def seen_from(asid):
    """What the view of an address space shows where its process was, and whether it is what was there."""
    pc, code = spaces[asid]
    text = monitor("asid %d" % asid)
    run("maintenance flush dcache")
    try:
        other = memory(pc, 64)
    except gdb.MemoryError:
        other = None
    monitor("view virtual")
    return other == code, (text, other, code)


# The guest starts short programs: a process that was seen may have ended since, and its tables with it.
for _ in range(40):
    here = reg("TTBR1_EL1") >> 48
    results = [seen_from(asid) for asid in spaces if asid != here]
    if any(same for same, _ in results):
        break
    run("continue")
    asid, pc, code = user_stop()
    spaces[asid] = (pc, code)
check("the memory of another ASID is seen", any(same for same, _ in results), results)
first = next(iter(spaces))
check("monitor asid lists those known", "asid %d:" % first in monitor("asid"), monitor("asid"))
monitor("view virtual")
run("delete")

# ---- monitor
check("monitor policy: what a person wants is on", len(re.findall(r"\bon ", monitor("policy"))) == 3, monitor("policy"))
check("a policy can be switched", "off" in monitor("policy hold-irqs off").splitlines()[0], monitor("policy"))
monitor("policy default")
check("monitor reg", "%#x" % vectors in monitor("reg vbar_el1"), monitor("reg vbar_el1"))
check("monitor exits", "debug" in monitor("exits 5"), monitor("exits 5"))
check("monitor kernel", "mapped at 0x" in monitor("kernel"), monitor("kernel"))
check("monitor help names every command", all(w in monitor("help") for w in ("policy", "translate", "view", "asid", "exits")))
run("detach")
done()
