#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""rows_test.py FUZZ: which rows `fuzz --row PATTERN...` takes, by its coverage file."""
import fnmatch
import subprocess
import sys
import tempfile
import unittest

FUZZ = sys.argv.pop(1)


def fuzz(*args):
    """(status, what it printed, names of the rows in the coverage file)"""
    with tempfile.NamedTemporaryFile() as f:
        r = subprocess.run([FUZZ, "--count", "64", "--coverage", f.name, *args], capture_output=True, text=True, check=False)
        with open(f.name, encoding="ascii") as lines:
            return r.returncode, r.stdout + r.stderr, [line.split("\t")[0] for line in lines if not line.startswith("#")]


class Rows(unittest.TestCase):
    def test_without_a_pattern_it_takes_all(self):
        rows = fuzz()[2]
        self.assertGreater(len(rows), 900)
        self.assertEqual(len(set(rows)), len(rows))

    def test_every_pattern_counts_not_the_last_alone(self):
        status, _, rows = fuzz("--row", "ADD_imm", "--row", "LDR_lit*", "--row", "FADD*")
        self.assertEqual(status, 0)
        for pattern in ("ADD_imm", "LDR_lit*", "FADD*"):
            self.assertTrue(fnmatch.filter(rows, pattern), pattern)
        self.assertEqual(rows, [r for r in fuzz()[2] if r == "ADD_imm" or r.startswith(("LDR_lit", "FADD"))])

    def test_a_row_that_two_patterns_name_is_taken_once(self):
        self.assertEqual(fuzz("--row", "ADD_imm", "--row", "ADD_i*")[2], ["ADD_imm"])

    def test_a_pattern_that_no_row_has_is_an_error_that_names_it(self):
        status, said, _ = fuzz("--row", "ADD_imm", "--row", "NO_SUCH*")
        self.assertEqual(status, 2)
        self.assertIn("'NO_SUCH*'", said)

    def test_a_row_of_the_other_half_is_not_there(self):
        status, said, _ = fuzz("--fp", "--row", "ADD_imm")
        self.assertEqual(status, 2)
        self.assertIn("'ADD_imm'", said)


unittest.main()
