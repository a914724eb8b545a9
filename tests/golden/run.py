#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run stepgold under the preload library, or with `pawl exec`, and compare its traces with a real kernel's.

Each free-running case ends with an alarm after 300 ms, so the cases run in several processes. With --traces, the kernel's are in one
file, each after a line "=== NAME".
"""
import argparse
import os
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS, CASES_PER_PART = 6, 18
TIMEOUT_S = 240


def unpack(path, to):
    os.mkdir(to)
    with open(path) as f:
        for trace in f.read().split("=== ")[1:]:
            name, text = trace.split("\n", 1)
            with open(os.path.join(to, name), "w") as one:
                one.write(text)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--stepgold", required=True)
    how = p.add_mutually_exclusive_group(required=True)
    how.add_argument("--preload", help="the library")
    how.add_argument("--exec", help="pawl; stepgold may be linked statically")
    p.add_argument("--traces", help="the kernel's; default: the directory 7.2.13")
    p.add_argument("--keep", help="directory for the traces")
    p.add_argument("-v", action="store_true")
    p.add_argument("cases", nargs="*")
    args = p.parse_args()

    # A cross build's emulator, which preloads for its program and not for itself.
    wrapper = shlex.split(os.environ.get("MESON_EXE_WRAPPER", ""))
    stepgold = [*wrapper, args.exec, "exec", args.stepgold] if args.exec else [*wrapper, args.stepgold]
    names = args.cases or [line.split()[0] for line in subprocess.run(
        [*stepgold, "-l"], stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()]
    env = dict(os.environ)
    if args.preload:
        preload = os.path.abspath(args.preload)
        env.update({"QEMU_SET_ENV": "LD_PRELOAD=" + preload} if wrapper else {"LD_PRELOAD": preload})
    with tempfile.TemporaryDirectory() as tmp:
        out = args.keep or tmp
        os.makedirs(out, exist_ok=True)
        n = max(PARTS, len(names) // CASES_PER_PART)
        parts = [names[i::n] for i in range(n) if names[i::n]]
        procs = [subprocess.Popen([*stepgold, "-o", out] + part, env=env) for part in parts]
        bad = 0
        for proc, part in zip(procs, parts):
            try:
                bad |= proc.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                proc.kill()
                bad = 1
            if proc.returncode:
                print("stepgold ended with %d; its cases: %s" % (proc.returncode, " ".join(part)))
        golden = os.path.join(HERE, "7.2.13")
        if args.traces:
            golden = os.path.join(tmp, "golden")
            unpack(args.traces, golden)
        cmd = [os.path.join(HERE, "compare"), golden, out]
        bad |= subprocess.run(cmd + (["-v"] if args.v else []) + args.cases).returncode
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
