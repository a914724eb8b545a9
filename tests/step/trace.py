#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""trace.py PROGRAM.elf > trace.expected: the instructions of trace.S that qemu-system-aarch64 executes, one by one, in the form
that trace_test.c reads. Translation blocks of one instruction are logged as they are entered."""
import re
import subprocess
import sys
import tempfile

QEMU = ["qemu-system-aarch64", "-M", "virt,gic-version=3", "-cpu", "neoverse-n1", "-m", "256", "-nic", "none", "-display", "none",
        "-serial", "stdio", "-monitor", "none", "-singlestep", "-d", "exec,nochain"]

with tempfile.NamedTemporaryFile() as log:
    out = subprocess.run([*QEMU, "-D", log.name, "-kernel", sys.argv[1]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True,
                         timeout=120).stdout
    with open(log.name, encoding="ascii") as f:
        pcs = [int(m, 16) for m in re.findall(r"^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/", f.read(), re.M)]
runs = []
for i, pc in enumerate(pcs):
    if i and pc == pcs[i - 1]:  # it was entered and left at once, for an interrupt; nothing here branches to itself
        continue
    if runs and runs[-1][0] + 4 * runs[-1][1] == pc:
        runs[-1][1] += 1
    else:
        runs.append([pc, 1])
print("# made by trace.py with QEMU 7.2: address, instructions from there on")
for pc, n in runs:
    print("%x %u" % (pc, n))
print("printed %u" % out[-1])
