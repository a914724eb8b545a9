#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tidy.py BUILD-DIR JOBS SECONDS [--deep]: clang-tidy over the product's files in a build, with the checks of .clang-tidy.

The path-sensitive analyzer takes many minutes and raises false alarms: it runs with --deep only, for people to read. When the time is up, what has not been looked at is listed; that is no failure.
"""
import concurrent.futures
import json
import os
import subprocess
import sys
import time


def main():
    build, jobs, end = sys.argv[1], int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
    with open(os.path.join(build, 'compile_commands.json')) as f:
        commands = json.load(f)
    root = os.getcwd()
    checks = [] if '--deep' in sys.argv else ['--checks=-clang-analyzer-*']
    files = sorted({os.path.realpath(os.path.join(c['directory'], c['file'])) for c in commands})
    # What a user runs; tests take liberties, and generated files are their generator's.
    files = [f for f in files if f.endswith('.c') and os.path.exists(f) and os.path.relpath(f, root).split(os.sep)[0] not in ('tests', 'bench', '..')
             and not f.startswith(os.path.realpath(build) + os.sep)]

    def look(path):
        left = end - time.monotonic()
        if left <= 0:
            return path, None, ''
        try:
            done = subprocess.run(['clang-tidy-14', '--quiet', *checks, '-p', build, path], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True, timeout=left)
        except subprocess.TimeoutExpired:
            return path, None, ''
        return path, done.returncode, done.stdout

    bad, left = 0, []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for path, status, text in pool.map(look, files):
            if status is None:
                left.append(os.path.relpath(path, root))
            elif status != 0:
                bad += 1
                print(text)
    if left:
        print('no time for:', *left)
    print(f'{len(files) - len(left)} of {len(files)} files looked at, {bad} with findings')
    sys.exit(bad > 0)


if __name__ == '__main__':
    main()
