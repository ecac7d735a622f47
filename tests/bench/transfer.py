#!/usr/bin/python3
"""ns-3 wall time of a bulk transfer through two NAT routers against two plain ones: alternating
pairs, the median of their ratios. Exit code 1 if it is above the limit (Must-hold 9)."""

import argparse
import json
import os
import statistics
import subprocess
import sys


def measure(program, nat, megabytes):
    line = subprocess.run(
        [program, f"--nat={'true' if nat else 'false'}", f"--megabytes={megabytes}"],
        check=True, capture_output=True, text=True).stdout
    return json.loads(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="build/release/bin/bench-transfer")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--limit", type=float, default=1.10, help="of the median ratio")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    if not os.access(options.program, os.X_OK):
        sys.exit(f"transfer.py: {options.program} is not there; build the target bench-transfer")

    pairs = []
    for number in range(options.pairs):
        # Which one goes first alternates too, so that a warming machine favours neither.
        order = (False, True) if number % 2 == 0 else (True, False)
        wall = {nat: measure(options.program, nat, options.megabytes)["wall_s"] for nat in order}
        pairs.append({"plain_s": wall[False], "nat_s": wall[True],
                      "ratio": round(wall[True] / wall[False], 4)})
        print(f"pair {number + 1} of {options.pairs}: plain {wall[False]:.2f} s, "
              f"NAT {wall[True]:.2f} s, ratio {pairs[-1]['ratio']:.3f}", flush=True)
    result = {"megabytes": options.megabytes, "pairs": pairs, "limit": options.limit,
              "median_ratio": statistics.median(pair["ratio"] for pair in pairs)}
    result["met"] = result["median_ratio"] <= options.limit
    print(f"median ratio {result['median_ratio']:.3f}, limit {options.limit}: "
          f"{'met' if result['met'] else 'NOT met'}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    sys.exit(0 if result["met"] else 1)


if __name__ == "__main__":
    main()
