#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run answers.c with `pawl exec` or under the preload library, and compare its lines with a real kernel's.

    answers.py GOLDEN PROGRAM [--preload LIBRARY | --exec PAWL]
"""
import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys

# Lines that differ, by what the machine is or has, and one or two by what the kernel does.
HOST = [
    r"capability (9|93|165|170|171|172|205|240|241) =",  # processors; AArch32, addresses, SVE, pointer authentication, MTE, EL2
    r"capability 245 =",                            # KVM_CAP_ARM_SEA_TO_USER: errors of real memory
    r"mask (6|8|9|1\d|2\d|3\d|4\d|5\d|6\d|7\d) =",  # fields of the CPU model
    r"KVM_CREATE_IRQCHIP with a GICv3",             # ENODEV where the host has no GICv2
    r"registers: (get|set) 0x6030000000150000",     # SVE
    r"AArch32 ID_PFR0",                             # AArch32
    r"PMU filter 2",                                # event numbers of 16 bits
    r"(ITS without a GIC|KVM_CREATE_DEVICE type 8 flags [02])",  # quirks.md
    r"(get ICC 0xc6[46]3|get (PMR 0xff|BPR0 0|BPR1 0|CTLR 0)) =",  # as written, where the guest would see fewer bits
    r"TIMER_CTL \d is",                            # ISTATUS: depends on CVAL, which is UNKNOWN after reset
    r"PSTATE (all flags|AArch32 svc) is",           # bits 63:32 are kept until the guest runs
    r"gic addresses: is =",                         # what nobody wrote
]
SKIP = re.compile("|".join(HOST))


def lines(text):
    return [line for line in text.splitlines() if not SKIP.search(line)]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("golden")
    p.add_argument("program")
    p.add_argument("--preload")
    p.add_argument("--exec")
    args = p.parse_args()
    wrapper = shlex.split(os.environ.get("MESON_EXE_WRAPPER", ""))
    env = dict(os.environ)
    if args.preload:
        preload = os.path.abspath(args.preload)
        env.update({"QEMU_SET_ENV": "LD_PRELOAD=" + preload} if wrapper else {"LD_PRELOAD": preload})
    command = [args.exec, "exec"] if args.exec else []
    run = subprocess.run([*wrapper, *command, args.program], env=env, stdout=subprocess.PIPE, text=True)
    with open(args.golden) as f:
        golden = lines(f.read())
    have = lines(run.stdout)
    different = [line for line in difflib.unified_diff(golden, have, "kernel", "pawl", lineterm="", n=0)]
    for line in different:
        print(line)
    print("%d answers, %d compared, status %d" % (run.stdout.count("\n"), len(have), run.returncode))
    return 1 if different or run.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
