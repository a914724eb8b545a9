#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/kvm-api.md says what the sources do.

usage: doc_test.py SOURCE-DIR

Each ioctl, capability and exit reason of include/pawl/kvm.h is on the page; the tables of ioctls and capabilities name those that
the tables in kvm/ have, and no others; files and tests that it names are there. Prints TAP.
"""
import os
import re
import sys

n = failed = 0


def check(ok, what, *notes):
    global n, failed
    n += 1
    failed += not ok
    print(f"{'ok' if ok else 'not ok'} {n} {what}")
    for note in notes if not ok else ():
        print(f'# {note}')


def same(have, want, what):
    check(have == want, what, f'only on the page: {sorted(have - want)}', f'only in the sources: {sorted(want - have)}')


def section(page, title, level='##'):
    """What is between a heading and the next one of its level or above."""
    found = re.search(rf'^{level} {re.escape(title)}\n(.*?)(?=^#{{2,{len(level)}}} |\Z)', page, re.M | re.S)
    return found.group(1) if found else ''


def rows(text):
    return {m for m in re.findall(r'^\| `([A-Z0-9_]+)` \|', text, re.M)}


def main():
    top = sys.argv[1]

    def read(path):
        with open(os.path.join(top, path)) as f:
            return f.read()

    page, header = read('docs/kvm-api.md'), read('include/pawl/kvm.h')
    vm, vcpu, dev = read('kvm/vm.c'), read('kvm/vcpu.c'), read('kvm/dev.c')

    same(rows(section(page, '/dev/kvm', '###')), set(re.findall(r'case (KVM_[A-Z_]+):', section_of(dev, 'system_ioctl'))),
         'ioctls of /dev/kvm')
    same(rows(section(page, 'VM', '###')), set(re.findall(r'^\t\{(KVM_[A-Z0-9_]+),', table_of(vm, 'ioctls'), re.M)), 'ioctls of a VM')
    same(rows(section(page, 'vcpu', '###')),
         set(re.findall(r'^\t\{(KVM_[A-Z0-9_]+),', table_of(vcpu, 'ioctls'), re.M)) | {'KVM_RUN'}, 'ioctls of a vcpu')
    same(rows(section(page, 'device', '###')), set(re.findall(r'!= (KVM_[A-Z_]+)', section_of(vm, 'device_ioctl'))), 'ioctls of a device')
    requests = set(re.findall(r'^#define (KVM_[A-Z0-9_]+) _IO', header, re.M))
    check(all(f'`{r}`' in page for r in requests), 'every ioctl there is', sorted(r for r in requests if f'`{r}`' not in page))

    caps = section(page, 'Capabilities')
    answered = set(re.findall(r'^\t\{((?:KVM|PAWL)_CAP_[A-Z0-9_]+),', table_of(vm, 'caps'), re.M))
    same(rows(caps.split('0 here, and')[0]), answered, 'capabilities that are not 0')
    known = set(re.findall(r'^#define (KVM_CAP_[A-Z0-9_]+) ', header, re.M))
    check(all(f'`{c}`' in caps for c in known), 'every capability there is', sorted(c for c in known if f'`{c}`' not in caps))
    enabled = set(re.findall(r'^\tcase ((?:KVM|PAWL)_CAP_[A-Z0-9_]+):', section_of(vm, 'enable_cap'), re.M))
    same(set(re.findall(r'^\| `([A-Z0-9_]+)` \|.*\benable\b', caps, re.M)), enabled, 'capabilities that can be enabled')

    exits = section(page, 'Exit reasons')
    made = set()
    for name in os.listdir(os.path.join(top, 'kvm')):
        if name.endswith('.c'):
            made |= set(re.findall(r'exit_reason = (KVM_EXIT_[A-Z_]+)', read('kvm/' + name)))
    same(rows(exits), made, 'exit reasons')
    reasons = set(re.findall(r'^#define (KVM_EXIT_[A-Z0-9_]+) \d', header, re.M)) - {'KVM_EXIT_IO_IN', 'KVM_EXIT_IO_OUT'}
    check(all(f'`{r}`' in exits for r in reasons), 'every exit reason there is', sorted(r for r in reasons if f'`{r}`' not in exits))

    paths = set(re.findall(r'`((?:kvm|tests|include)/[a-z0-9_/.]+)`', page))
    check(all(os.path.exists(os.path.join(top, p)) for p in paths), 'files that are named',
          sorted(p for p in paths if not os.path.exists(os.path.join(top, p))))
    tests = re.findall(r'^\| `([A-Z0-9_]+)` \|.*\| `(tests/[a-z0-9_/.]+)` \|$', page, re.M)
    named = [(row, path) for row, path in tests if not mentions(read(path), row)]
    check(not named, 'tests that name what they cover', named)
    print(f'1..{n}')
    return 1 if failed else 0


def mentions(text, row):
    """By its name, or by that of a part of it: KVM_CAP_X for an attribute group's members."""
    return row in text or any(word in text for word in PARTS.get(row, ()))


# Tests that have a function of their own for a row, or name its parts.
PARTS = {
    'KVM_GET_ONE_REG': ['try_get_reg'],
    'KVM_SET_ONE_REG': ['try_set_reg'],
    'KVM_RUN': ['expect_exit'],
    'KVM_EXIT_UNKNOWN': ['exit_reason'],
    'KVM_IRQ_LINE': ['irq_line('],
    'KVM_IRQ_LINE_STATUS': ['irq_line('],
    'KVM_SET_GSI_ROUTING': ['irq_routing_ioctl'],
    'KVM_IRQFD': ['irqfd_ioctl'],
    'KVM_IOEVENTFD': ['ioeventfd_ioctl'],
    'KVM_SIGNAL_MSI': ['its_signal_msi'],
    'KVM_CREATE_IRQCHIP': ['vgic_create', 'fake_gicv2'],
    'KVM_ARM_SET_DEVICE_ADDR': ['vgic_set_device_addr'],
    'KVM_ARM_SET_COUNTER_OFFSET': ['timer_set_counter_offset'],
    'KVM_SET_DEVICE_ATTR': ['attr_set', 'hypercall_set_filter', 'KVM_SET_DEVICE_ATTR'],
    'KVM_GET_DEVICE_ATTR': ['attr_get'],
    'KVM_HAS_DEVICE_ATTR': ['attr_has'],
    'KVM_ARM_VM_SMCCC_CTRL': ['hypercall_set_filter'],
    'KVM_EXIT_SYSTEM_EVENT': ['system_event'],
    'KVM_EXIT_INTR': ['EINTR'],
}


def table_of(text, name):
    """The initialiser of an array."""
    found = re.search(rf'\}} {name}\[\] = \{{\n(.*?)^\}};', text, re.M | re.S)
    return found.group(1) if found else ''


def section_of(text, function):
    found = re.search(rf'^static [a-z ]*\**{function}\(.*?\n\{{\n(.*?)^\}}', text, re.M | re.S)
    return found.group(1) if found else ''


if __name__ == '__main__':
    sys.exit(main())
