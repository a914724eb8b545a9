#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""man_test.py PAWL MANPAGE: pawl-run(1) and `pawl run --help` name the same options, and each has an example."""
import os
import re
import subprocess
import sys

WRAPPER = os.environ.get("MESON_EXE_WRAPPER", "").split()  # a cross build's emulator
shown = subprocess.run(WRAPPER + [sys.argv[1], "run", "--help"], stdout=subprocess.PIPE, check=True, text=True).stdout
with open(sys.argv[2]) as f:
    page = f.read().replace("\\-", "-")
page = page[page.index(".SH OPTIONS"):page.index(".SH CONSOLE")]
described = {}
for part in page.split("\n.TP\n")[1:]:
    for option in re.findall(r"--[a-z-]*[a-z]", part.split("\n")[0]):
        described[option] = part
failed = False


def check(what, ok):
    global failed
    print("%s - %s" % ("ok" if ok else "not ok", what))
    failed |= not ok


helped = set(re.findall(r"^  (?:-\w, |    )(--[a-z-]+)", shown, re.M))
check("there are options", len(helped) > 15)
for name in sorted(helped - {"--help"}):
    check("%s is in the page, with an example" % name, "Example" in described.get(name, ""))
check("the page has no others: %s" % sorted(set(described) - helped), not set(described) - helped)
sys.exit(failed)
