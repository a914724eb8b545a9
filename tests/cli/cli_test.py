#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The pawl command: what it says to wrong command lines, and what pawl exec refuses. TAP.

usage: cli_test.py PAWL [STATIC-CLIENT]
"""
import os
import stat
import struct
import subprocess
import sys
import tempfile

PAWL = [sys.argv[1]]
STATIC = sys.argv[2] if len(sys.argv) > 2 else None
results = []


def pawl(*args, env=None):
    done = subprocess.run([*PAWL, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120, env=env)
    return done.returncode, done.stdout, done.stderr


def case(sentence, args, status, out='', err='', env=None):
    got = pawl(*args, env=env)
    ok = got[0] == status and out in got[1] and err in got[2] and bool(err) == bool(got[2])
    results.append(ok)
    print(f'{"ok" if ok else "not ok"} {len(results)} - {sentence}')
    if not ok:
        print(f'# pawl {" ".join(args)}: {got}')


def elf(machine, interpreter):
    """A 64-bit executable's headers, with or without a dynamic linker."""
    kind = 3 if interpreter else 1
    header = b'\x7fELF\2\1\1' + bytes(9) + struct.pack('<HHIQQQIHHHHHH', 2, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack('<IIQQQQQQ', kind, 4, 0, 0, 0, 0, 0, 0)


def main():
    case('no command is an error', [], 2, err='a command is missing')
    case('an unknown command is named', ['frobnicate'], 2, err="unknown command 'frobnicate'")
    case('an unknown option is named', ['--frobnicate'], 2, err="unknown option '--frobnicate'")
    case('help lists the commands', ['help'], 0, out='exec')
    case('help explains a command', ['help', 'exec'], 0, out='--engine')
    case('help of an unknown command names it', ['help', 'frobnicate'], 2, err="unknown command 'frobnicate'")
    case('--help is help', ['--help'], 0, out='usage: pawl COMMAND')
    case('version prints the version', ['version'], 0, out='pawl 0.')
    case('version takes no arguments', ['version', 'x'], 2, err="unexpected argument 'x'")
    case('info says which engines there are', ['info'], 0, out='engines: interp')
    case('info --isa lists what is left out', ['info', '--isa'], 0, out='encodings are left out')
    case('info --isa names features that are in no model', ['info', '--isa'], 0, out='ID_AA64PFR0_EL1[11:8] is 0: its registers')
    case('an unknown option of info is named', ['info', '-x'], 2, err="unknown option '-x'")
    case('run --cpu help lists models', ['run', '--cpu', 'help'], 0, out='cortex-a72')
    case('run names an unknown model', ['run', '--cpu', 'z80', '--kernel', 'x'], 2, err="there is no CPU model 'z80'")
    case('run names an unknown feature', ['run', '--cpu=max,-sve', '-k', 'x'], 2, err="there is no CPU feature 'sve'")
    case('exec needs a program', ['exec'], 2, err='a program is missing')
    case('exec names an unknown option', ['exec', '--frobnicate', 'true'], 2, err="unknown option '--frobnicate'")
    case('exec names an unknown engine', ['exec', '--engine', 'steam', 'true'], 2, err="unknown engine 'steam'")
    case('exec --engine needs an argument', ['exec', '--engine'], 2, err='--engine needs an argument')
    case('a missing program gives 127', ['exec', '/no/such/program'], 127, err='/no/such/program: No such file')
    case('a program that PATH does not have gives 127', ['exec', 'no-such-program'], 127, err='there is no such program')

    machine = {'x86_64': 62, 'aarch64': 183}
    own = machine[os.uname().machine]
    other = ({62, 183} - {own}).pop()
    with tempfile.TemporaryDirectory() as directory:
        def file(name, content, mode=0o755):
            path = os.path.join(directory, name)
            with open(path, 'wb') as f:
                f.write(content)
            os.chmod(path, mode)
            return path

        case('a directory gives 126', ['exec', directory], 126, err='Is a directory')
        if os.geteuid() != 0:
            case('a file that is not executable gives 126', ['exec', file('data', b'', 0o644)], 126, err='Permission denied')
        case('text is not a program', ['exec', file('text', b'hello')], 126, err='not an executable file')
        case('an empty file is not a program', ['exec', file('empty', b'')], 126, err='not an executable file')
        case('a program for another architecture is named as such', ['exec', file('other', elf(other, True))], 126,
             err='is a program for')
        if not STATIC:
            case('a statically linked program is refused where there is no resident', ['exec', file('static', elf(own, False))],
                 126, err='or is statically linked')
        case('a truncated program is refused', ['exec', file('cut', elf(own, True)[:70])], 126, err='is damaged')
        if os.geteuid() == 0:
            path = file('setuid', elf(own, True))
            os.chown(path, 1, 1)
            os.chmod(path, 0o755 | stat.S_ISUID)
            case('a program that changes its user is refused', ['exec', path], 126, err='changes its user')
        env = dict(os.environ, LD_PRELOAD='')
        case('a program gets the library, the engine and its arguments',
             ['exec', '--engine', 'interp', '--', 'sh', '-c', 'echo "$LD_PRELOAD $PAWL_ENGINE $1"', 'sh', '--x'], 0,
             out='libpawl-preload.so interp --x', env=env)
        case('what was preloaded before is still preloaded', ['exec', 'sh', '-c', 'echo "$LD_PRELOAD"'], 0,
             out='libpawl-preload.so:libc.so.6', env=dict(os.environ, LD_PRELOAD='libc.so.6'))
        case('the exit status is the program\'s', ['exec', 'sh', '-c', 'exit 42'], 42, env=env)
        case('a script is run', ['exec', file('script', b'#!/bin/sh\necho "ran: $LD_PRELOAD"\n')], 0, out='ran: /', env=env)
        if STATIC:
            for how in 'seccomp', 'prctl':
                case(f'a seccomp filter of the program is refused, and it is said ({how})', ['exec', STATIC, how], 7,
                     err='installs a seccomp filter')
            case('a static program\'s exit status and output are its own', ['exec', '--engine=interp', STATIC], 0, out='ok 1 - ')
            case('--trap takes a dynamic program\'s system calls', ['exec', '--trap', 'sh', '-c', 'test -c /dev/kvm; exit 42'], 42)
    print(f'1..{len(results)}')
    sys.exit(not all(results))


if __name__ == '__main__':
    main()
