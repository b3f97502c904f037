"""Counts what Meson's test log holds: count_results.py LOG.json -> "passed failed skipped" and what failed.

A Catch2 program counts as its test cases, a program that ends with "N passed, N failed[, N skipped]" as
what it says, one that speaks TAP as its subtests, any other test as one. A test that did not end well counts as at least one failure.
"""
import json
import re
import sys

SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)
TAP = re.compile(r"^(ok|not ok) \d+", re.M)
CATCH_GOOD = re.compile(r"All tests passed \(\d+ assertions? in (\d+) test cases?\)")
CATCH_BAD = re.compile(r"^test cases:\s*(\d+)(?: \|\s*(\d+) passed)?(?: \|\s*(\d+) failed)?(?: \|\s*(\d+) failed as expected)?", re.M)


def counts(output, result):
    """(passed, failed, skipped) of one test."""
    if result == "SKIP":
        return 0, 0, 1
    good = result in ("OK", "EXPECTEDFAIL")
    said = SUMMARY.findall(output)
    if said:
        passed, failed, skipped = (int(number or 0) for number in said[-1])
    elif TAP.search(output):
        results = TAP.findall(output)
        passed, failed, skipped = results.count("ok"), results.count("not ok"), 0
    elif match := CATCH_GOOD.search(output):
        passed, failed, skipped = int(match.group(1)), 0, 0
    elif match := CATCH_BAD.search(output):
        passed, failed, skipped = int(match.group(2) or 0), int(match.group(3) or 0), 0
    else:
        passed, failed, skipped = int(good), 0, 0
    return passed, failed if good else max(failed, 1), skipped


def main(path):
    total = [0, 0, 0]
    with open(path, encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            one = counts(test.get("stdout", ""), test["result"])
            if one[1]:
                print(f"failed: {test['name']} ({test['result']})", file=sys.stderr)
            total = [a + b for a, b in zip(total, one)]
    print(*total)


if __name__ == "__main__":
    main(sys.argv[1])
