#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether what a profile estimates is what the program did.

    profile_estimates.py TOOL LIBRARY PROGRAM FILE RUNS

Runs PROGRAM, whose functions print what they allocated, with one sample in RATE bytes, and compares
what the profile says of each function by standard errors: the number of samples of a function is a
Poisson variable. Prints a line for each figure, and exits by 1 if one is beyond the bounds: LIMIT
errors for a single run, so that a right profile fails once in a million figures, and as many for the
mean of all runs, which shows a bias that no single run would.
"""

import math
import os
import subprocess
import sys

RATE = 131072
LIMIT = 5


def run(tool, library, program, file):
    environment = dict(os.environ, LD_PRELOAD=library, HAKMEM_PROFILE=str(RATE),
                       HAKMEM_PROFILE_FILE=file)
    told = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=120)
    if told.returncode != 0:
        sys.exit("%s failed: %s" % (program, told.stderr))
    truth = {}
    for line in told.stdout.splitlines():
        name, *parts = line.split()
        truth[name] = [[tuple(map(int, each.split("*"))) for each in part.split("+")]
                       for part in parts] + [[]] * (2 - len(parts))
    figures = {name: [0, 0, 0, 0] for name in truth}
    for at, arguments in enumerate((["--total"], ["--total", "--objects"], ["--live"],
                                    ["--live", "--objects"])):
        folded = subprocess.run([tool, "profile", file, "--folded"] + arguments,
                                capture_output=True, text=True, timeout=120)
        if folded.returncode != 0:
            sys.exit("hakmem profile failed: %s" % folded.stderr)
        for line in folded.stdout.splitlines():
            stack, value = line.rsplit(" ", 1)
            for name in truth:
                if name in stack.split(";"):
                    figures[name][at] += int(value)
    return truth, figures


def errors_of(truth, figures):
    """Deviations in standard errors, by function and figure. An object of s bytes is sampled with
    the chance p = 1 - exp(-s/RATE), and stands for 1/p objects then: its variance is (1-p)/p."""
    result = {}
    for name, parts in truth.items():
        for at, kind in enumerate(("total bytes", "total objects", "live bytes", "live objects")):
            right = variance = 0
            for size, objects in parts[at // 2]:
                chance = -math.expm1(-size / RATE)
                weight = 1 if at % 2 else size
                right += weight * objects
                variance += weight ** 2 * objects * (1 - chance) / chance
            off = figures[name][at] - right
            # Figures are rounded for each sample.
            result[name, kind] = off / math.sqrt(variance + 1 + right * 1e-6)
    return result


def main(tool, library, program, file, runs):
    sums, fault = {}, False
    for _ in range(int(runs)):
        truth, figures = run(tool, library, program, file)
        for key, error in errors_of(truth, figures).items():
            sums.setdefault(key, []).append(error)
    for (name, kind), errors in sorted(sums.items()):
        mean = sum(errors) / len(errors)
        beyond = [error for error in errors if abs(error) > LIMIT]
        within = sum(abs(error) <= 3 for error in errors)
        wrong = bool(beyond) or abs(mean) > LIMIT / math.sqrt(len(errors))
        fault |= wrong
        print("# %-16s %-13s mean %+.2f standard errors, %d of %d within 3%s"
              % (name, kind, mean, within, len(errors), "  WRONG" if wrong else ""))
    return fault


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
