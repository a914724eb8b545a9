#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""<pawl/kvm.h> against the kernel's arm64 headers: every macro's value, every structure's size, every field's place.

usage: compare.py OUR-INCLUDE-DIR HOST-CC [REFERENCE-CC]

The values are read off the assembly that the compilers make of one generated function, so nothing is run. What the
reference has and we leave out must be of a family in LEFT_OUT; what it does not have is newer than it, and printed.
Exit status 77 (skipped) without a compiler or headers for arm64.
"""
import re
import subprocess
import sys

REFERENCE_CC = 'aarch64-linux-gnu-gcc'

# Names that belong to other architectures, to kernel internals, or to interfaces that are gone.
LEFT_OUT = re.compile(
    r'_KVM_DEPRECATED|__LINUX_KVM_H|__ARM_KVM_H__|KVM_TRC_|KVM_TRACE_|S390|PPC|SPAPR|XEN|X86|HYPERV|SEV|_MIPS_|TPR_ACCESS|'
    r'KVM_(GET|SET)_(MSRS?|MSR_INDEX_LIST|MSR_FEATURE_INDEX_LIST|LAPIC|CPUID2?|PIT2?|SREGS2|DEBUGREGS|XSAVE2?|XCRS|'
    r'NESTED_STATE|SUPPORTED_CPUID|EMULATED_CPUID|SUPPORTED_HV_CPUID|VAPIC_ADDR)$|KVM_ASSIGN_|KVM_DEASSIGN_|KVM_DEV_ASSIGN_|'
    r'KVM_DEV_IRQ_|KVM_MAX_MSIX|KVM_MMU_FSL|KVM_ALLOCATE_RMA|KVM_DEBUG_GUEST|KVM_SET_MEMORY_ALIAS|X2APIC|'
    r'KVM_BUS_LOCK|KVM_PMU_CAP_DISABLE|HV_EVENTFD|KVM_PV_')

# The kernel's own macro is about another thing here: the page of the dirty ring comes from the architecture.
DIFFERENT = {'KVM_DIRTY_LOG_PAGE_OFFSET'}

# Function-like macros and their sample arguments.
SAMPLES = [
    'KVM_VM_TYPE_ARM_IPA_SIZE(0x1ff)', 'KVM_REG_SIZE(KVM_REG_SIZE_U2048)', 'KVM_REG_ARM_CORE_REG(fp_regs.fpcr)',
    'KVM_REG_ARM_CORE_REG(spsr[4])', 'ARM64_SYS_REG(3, 3, 14, 3, 2)', '__ARM64_SYS_REG(2, 0, 0, 15, 7)',
    'KVM_REG_ARM_FW_REG(0x10003)', 'KVM_REG_ARM_FW_FEAT_BMAP_REG(2)', 'KVM_REG_ARM64_SVE_ZREG(33, 34)',
    'KVM_REG_ARM64_SVE_PREG(17, 33)', 'KVM_REG_ARM64_SVE_FFR(33)', 'KVM_PSCI_FN(3)', '__SVE_FFR_OFFSET(3)',
    '__SVE_PREG_OFFSET(3, 2)', '__SVE_ZREG_OFFSET(3, 2)', '__SVE_PREGS_SIZE(3)', '__SVE_ZREGS_SIZE(3)',
    '__sve_vl_valid(24)', '__sve_vl_valid(32)', '__sve_vq_from_vl(64)', '__sve_vl_from_vq(3)',
]

MACRO = re.compile(r'#define (\w+)(\(?)(.*)')
NAMES = re.compile(r'_*KVM|VGIC|ARM64_|PSR_|__SVE|SYNC_REGS|GUEST_MEMFD')


class Compiler:
    def __init__(self, command, flags, include):
        self.command = [*command.split(), *flags, '-w', '-O1']
        self.prologue = ''.join(f'#include <{name}>\n' for name in include) + '#define PAGE_SIZE 4096\n#define SZ_64K 0x10000\n'

    def run(self, flags, text):
        return subprocess.run([*self.command, *flags, '-x', 'c', '-o', '-', '-'], input=self.prologue + text, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def works(self):
        try:
            return self.run(['-fsyntax-only'], '').returncode == 0
        except FileNotFoundError:
            return False

    def macros(self):
        """Names of the object-like macros that have a value."""
        names = set()
        for line in self.run(['-E', '-dM'], '').stdout.splitlines():
            name, function, value = MACRO.match(line).groups()
            if NAMES.match(name) and not function and value.strip():
                names.add(name)
        return names

    def values(self, expressions):
        """{expression: value}, without those that are no integer constants here."""
        expressions = list(expressions)
        while True:
            first = self.prologue.count('\n') + 2
            text = 'void f(void) {\n' + ''.join(
                f'__asm__ volatile(".ascii \\"@{i} %c0 %c1\\"" : : "i"((int)((long)({e}) >> 32)), "i"((int)(long)({e})));\n' for i, e in enumerate(expressions)) + '}\n'
            done = self.run(['-S'], text)
            if done.returncode == 0:
                found = re.findall(r'"@(\d+) (-?\d+) (-?\d+)', done.stdout)
                return {expressions[int(i)]: int(high) % 2**32 << 32 | int(low) % 2**32 for i, high, low in found}
            bad = {int(line) - first for line in re.findall(r'<stdin>:(\d+):\d+: error', done.stderr)}
            if not bad:
                sys.exit('compare: ' + done.stderr)
            expressions = [e for i, e in enumerate(expressions) if i not in bad]


def fields(text):
    """Size and offset expressions for each structure and field of a header, from its text."""
    text = re.sub(r'/\*.*?\*/', ' ', text, flags=re.S)
    text = re.sub(r'#(\\\n|[^\n])*', ' ', text)
    tokens = re.findall(r'\w+|[{};\[\]]', text)
    expressions = []

    def members(i, type_name, path):
        """Members from tokens[i], after a brace, to the closing brace; returns the index behind it."""
        while tokens[i] != '}':
            if tokens[i] in ('struct', 'union') and tokens[i + 1] == '{':
                # the member's name comes after its body, so look ahead for it
                depth, j = 1, i + 2
                while depth:
                    depth += {'{': 1, '}': -1}.get(tokens[j], 0)
                    j += 1
                inner = path + [tokens[j]] if tokens[j] != ';' else path
                if tokens[j] != ';':
                    add(type_name, inner)
                members(i + 2, type_name, inner)
                i = j
                while tokens[i] != ';':
                    i += 1
                i += 1
                continue
            j = i
            while tokens[j] != ';':
                j += 1
            declaration = tokens[i:j]
            if '[' in declaration:
                empty = declaration[declaration.index('[') + 1] == ']'
                declaration = declaration[:declaration.index('[')]
            else:
                empty = False
            add(type_name, path + [declaration[-1]], empty)
            i = j + 1
        return i + 1

    def add(type_name, path, flexible=False):
        field = '.'.join(path)
        expressions.append(f'__builtin_offsetof({type_name}, {field})')
        if not flexible:
            expressions.append(f'sizeof((({type_name} *)0)->{field})')

    i = 0
    while i < len(tokens) - 2:
        if tokens[i] == 'struct' and tokens[i + 2] == '{':
            type_name = f'struct {tokens[i + 1]}'
            expressions.append(f'sizeof({type_name})')
            i = members(i + 3, type_name, [])
        else:
            i += 1
    return expressions


def main():
    include, host_cc = sys.argv[1:3]
    reference = Compiler(sys.argv[3] if len(sys.argv) > 3 else REFERENCE_CC, [], ['linux/kvm.h', 'stddef.h'])
    if not reference.works():
        print(f'skipped: {reference.command[0]} and linux/kvm.h for arm64 are not there')
        sys.exit(77)
    ours = Compiler(host_cc, ['-I', include], ['pawl/kvm.h'])

    our_macros, reference_macros = ours.macros(), reference.macros()
    structures = [e for name in ('kvm.h', 'ptrace.h') for e in fields(open(f'{include}/pawl/{name}').read())]
    asked = sorted(our_macros | reference_macros) + SAMPLES + structures
    here, there = ours.values(asked), reference.values(asked)
    if len(structures) < 400 or len(our_macros) < 500:
        sys.exit('compare: the header was not understood')

    failures = 0
    for expression, value in there.items():
        if expression in DIFFERENT or expression in here and here[expression] == value:
            continue
        if expression not in here and LEFT_OUT.search(expression):
            continue
        print(f'not ok: {expression}: {here.get(expression, "missing")}, the kernel has {value:#x}')
        failures += 1
    newer = sorted(e for e in set(here) - set(there) if '->' not in e and 'offsetof' not in e)
    print(f'{len(set(here) & set(there))} values agree with the kernel\'s headers; not in those:', *newer, sep='\n  ')
    sys.exit(failures > 0)


if __name__ == '__main__':
    main()
