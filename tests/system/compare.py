#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a payload with `pawl run` and compares what it prints with what the reference (qemu-system-aarch64) printed.

    compare.py PAWL ENGINE CPU PAYLOAD EXPECTED
    compare.py --qemu CPU PAYLOAD                       prints what the reference says, to make EXPECTED
    compare.py --campaign PAWL CPU NAME SEED [TRIALS]   both engines with another seed; shows the trials that differ

CPU: a row of CPUS. QEMU7 and QEMU10 in the environment name the references, with options if need be.
"""
import os
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BOARD = ["-M", "virt,gic-version=3", "-m", "256", "-nic", "none", "-display", "none", "-serial", "stdio", "-monitor", "none"]
# What is the same PE: the reference's release and -cpu, pawl's --cpu; each without what only one of the two has. The release of
# Debian 12 (7.2) knows neither EPAN nor LSE2, and of pointer authentication only what FEAT_PAuth has; that of its backports (10.0) does.
CPUS = {
    "neoverse-n1": ("QEMU7", "neoverse-n1", "neoverse-n1"),
    "max": ("QEMU7", "max,sve=off,sme=off", "max,-epan,-lse2"),
    "max10": ("QEMU10", "max,sve=off,sme=off", "max"),
    "pauth": ("QEMU7", "max", "max,+qarma5,-epac"),
    "pauth2": ("QEMU10", "neoverse-v1,pauth-qarma5=on", "max,+qarma5,-fpac,-bti"),
    "fpac": ("QEMU10", "max,pauth-qarma5=on", "max,+qarma5"),
}
FLAGS = ("-O2 -ffreestanding -fPIE -fno-omit-frame-pointer -fno-stack-protector -fno-builtin -mgeneral-regs-only -mstrict-align "
         "-march=armv8.2-a+crypto -nostdlib -static "
         "-Wl,--build-id=none,-z,noexecstack,--no-dynamic-linker,--no-warn-rwx-segments").split()


def run(command):
    p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=3600, check=False)
    return p.returncode, p.stdout.decode(errors="replace").replace("\r", "").splitlines()


def run_qemu(cpu, payload):
    which, model, _ = CPUS[cpu]
    return run([*shlex.split(os.environ.get(which, "qemu-system-aarch64")), *BOARD, "-cpu", model, "-kernel", payload])


def run_pawl(pawl, engine, cpu, payload):
    wrapper = shlex.split(os.environ.get("MESON_EXE_WRAPPER", ""))  # an emulator, for cross builds
    return run([*wrapper, pawl, "run", "--engine", engine, "--cpu", CPUS[cpu][2], "-m", "256M", "-k", payload])


def build(name, out, **defines):
    subprocess.run(["aarch64-linux-gnu-gcc", *FLAGS, "-Wl,-T," + os.path.join(HERE, "payload.ld"),
                    *[f"-D{k}={v}" for k, v in defines.items()], "-o", out,
                    *[os.path.join(HERE, f) for f in ("start.S", "console.c", "trials.c", name + ".c")]], check=True)


def show(pawl, engine, cpu, name, seed, first):
    """The trials of a chunk, one by one."""
    with tempfile.TemporaryDirectory() as d:
        elf = os.path.join(d, "payload")
        build(name, elf, SEED=seed, TRIALS=first + 100, FROM=first, TO=first + 100)
        got, want = run_pawl(pawl, engine, cpu, elf)[1], run_qemu(cpu, elf)[1]
    trial = ""
    for g, w in zip(got, want):
        if w.startswith("trial"):
            trial = w
        if g == w or not w.startswith(" "):
            continue
        print(f"  {trial}")
        gs, ws = g.split(), w.split()
        for i in range(0, len(ws), 2):
            print(f"    {ws[i]} {ws[i + 1]}" + ("" if gs[i + 1:i + 2] == [ws[i + 1]] else f", pawl {' '.join(gs[i + 1:i + 2])}"))


def campaign(pawl, cpu, name, seed, trials):
    failed = 0
    with tempfile.TemporaryDirectory() as d:
        elf = os.path.join(d, "payload")
        build(name, elf, SEED=seed, TRIALS=trials)
        want = run_qemu(cpu, elf)[1]
        for engine in ("interp", "jit"):
            got = run_pawl(pawl, engine, cpu, elf)[1]
            wrong = [w for g, w in zip(got, want) if g != w]
            print(f"{name} on {cpu}, seed {seed}, {engine}: {trials} trials, {len(wrong)} of {len(want)} lines differ", flush=True)
            if len(got) != len(want):
                print(f"{len(got)} lines, the reference {len(want)}")
            failed |= bool(wrong) or len(got) != len(want)
            for w in wrong[:3]:
                show(pawl, engine, cpu, name, seed, int(w.split()[0], 16))
    return int(failed)


def main():
    if sys.argv[1] == "--qemu":
        code, lines = run_qemu(*sys.argv[2:])
        print("\n".join(lines))
        return code
    if sys.argv[1] == "--campaign":
        return campaign(*sys.argv[2:5], int(sys.argv[5]), int(sys.argv[6]) if len(sys.argv) > 6 else 20000)
    pawl, engine, cpu, payload, expected = sys.argv[1:]
    code, got = run_pawl(pawl, engine, cpu, payload)
    with open(expected, encoding="ascii") as f:
        want = f.read().splitlines()
    if code:
        print(f"pawl run ended with status {code}")
    wrong = [(g, w) for g, w in zip(got, want) if g != w]
    for g, w in wrong[:10]:
        print(f"got {g}, the reference {w}")
    if len(got) != len(want):
        print(f"{len(got)} lines, the reference {len(want)}")
    if not wrong and not code and len(got) == len(want):
        print(f"{len(got)} lines are the same")
        return 0
    print("tests/system/README.md says how to see the trials behind a line")
    return 1


if __name__ == "__main__":
    sys.exit(main())
