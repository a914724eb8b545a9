#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""count_tests.py TESTLOG.json: "PASSED FAILED SKIPPED" of a meson test run.

A test that writes TAP counts as its cases, any other as one. A test that fails although its cases passed (a crash, a
sanitizer's report, a time-out) counts as one more failure.
"""
import json
import re
import sys

CASE = re.compile(r'^(not )?ok\b.*?(# *SKIP.*)?$', re.I | re.M)

passed = failed = skipped = 0
with open(sys.argv[1]) as log:
    for line in log:
        test = json.loads(line)
        result = test['result']
        cases = CASE.findall(test.get('stdout') or '')
        bad = sum(1 for no, skip in cases if no and not skip)
        skip = sum(1 for _, skip in cases if skip)
        if result == 'SKIP' and not cases:
            skipped += 1
        elif not cases:
            passed += result in ('OK', 'EXPECTEDFAIL')
            failed += result not in ('OK', 'EXPECTEDFAIL')
        else:
            passed += len(cases) - bad - skip
            skipped += skip
            failed += bad + (result not in ('OK', 'SKIP', 'EXPECTEDFAIL') and bad == 0)
print(passed, failed, skipped)
