#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run stepgold under the preload library, or with `pawl exec`, and compare its traces with a real kernel's.

Each free-running case ends with an alarm after 300 ms, so the cases run in several processes.
"""
import argparse
import os
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = 6
TIMEOUT_S = 240


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--stepgold", required=True)
    how = p.add_mutually_exclusive_group(required=True)
    how.add_argument("--preload", help="the library")
    how.add_argument("--exec", help="pawl; stepgold may be linked statically")
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
        parts = [names[i::PARTS] for i in range(PARTS) if names[i::PARTS]]
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
        cmd = [os.path.join(HERE, "compare"), os.path.join(HERE, "7.2.13"), out]
        bad |= subprocess.run(cmd + (["-v"] if args.v else []) + args.cases).returncode
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
