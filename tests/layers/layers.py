#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Layers: what a folder must not see does not compile there (docs/architecture.md).

usage: layers.py BUILD-DIR SOURCE-DIR

Takes a compile command of each folder out of the build's compile_commands.json and lets it compile one #include at a time:
headers of the folder's own layer and below must be found, those above must not.
"""
import json
import os
import shlex
import subprocess
import sys

BASE, IR, ISA, JIT, CPU, KVM, VGIC, PUBLIC, GDB = ('bits.h', 'ir.h', 'isa.h', 'jit.h', 'cpu.h', 'kvm.h', 'vgic.h', 'pawl/kvm.h', 'gdb.h')

# folder: headers it sees, headers it must not see
LAYERS = {
    'ir': ([BASE, IR], [ISA, JIT, CPU, KVM, VGIC, PUBLIC, GDB]),
    'jit': ([BASE, IR, JIT], [ISA, CPU, KVM, VGIC, PUBLIC, GDB]),
    'isa': ([BASE, IR, ISA], [JIT, CPU, KVM, VGIC, PUBLIC, GDB]),
    'cpu': ([BASE, IR, ISA, JIT, CPU], [KVM, VGIC, PUBLIC, GDB]),
    'kvm': ([BASE, IR, CPU, KVM, VGIC, PUBLIC], [ISA, GDB]),
    'gdb': ([BASE, PUBLIC, GDB], [IR, ISA, CPU, KVM, VGIC]),
    'vmm': ([BASE, PUBLIC, GDB], [IR, ISA, CPU, KVM, VGIC]),
    'shim': ([PUBLIC], [IR, ISA, CPU, KVM, VGIC, GDB]),
}


def flags(commands, source, folder):
    """The compiler and its flags for one file of the folder, or None."""
    for entry in commands:
        path = os.path.realpath(os.path.join(entry['directory'], entry['file']))
        if os.path.relpath(path, source).split(os.sep)[0] != folder:
            continue
        words = shlex.split(entry['command'])
        if os.path.basename(words[0]) in ('ccache', 'sccache'):
            words = words[1:]
        kept = words[:1] + [w for w in words[1:] if w.startswith(('-I', '-D', '-std'))]
        return entry['directory'], kept
    return None


def compiles(directory, command, header):
    # Angle brackets: only the folder's -I options count, not the place of the including file.
    return subprocess.run([*command, '-fsyntax-only', '-w', '-x', 'c', '-'], cwd=directory, input=f'#include <{header}>\n',
                          text=True, stderr=subprocess.DEVNULL).returncode == 0


def main():
    build, source = sys.argv[1], os.path.realpath(sys.argv[2])
    with open(os.path.join(build, 'compile_commands.json')) as f:
        commands = json.load(f)
    n, failed = 0, 0
    for folder, (seen, hidden) in LAYERS.items():
        found = flags(commands, source, folder)
        if not found:
            continue
        for header, wanted in [(h, True) for h in seen] + [(h, False) for h in hidden]:
            n += 1
            ok = compiles(*found, header) == wanted
            failed += not ok
            print(f'{"ok" if ok else "not ok"} {n} - {folder}/ {"sees" if wanted else "does not see"} {header}')
    print(f'1..{n}')
    sys.exit(failed > 0 or n == 0)


if __name__ == '__main__':
    main()
