"""Whole questions, asked through the front door as a user would."""
import csv
import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NINE = [f"{m}-{f}" for m in ("eim", "adm", "apdm") for f in ("eif", "adf", "apdf")]


def oracle(a, b):
    """Direct without port prediction, session-table reading (field note on NATs): either side filters
    endpoint-independently, or is EIM with address-dependent filtering, or both map EIM."""
    (ma, fa), (mb, fb) = a.split("-"), b.split("-")
    return (fa == "eif" or fb == "eif" or a == "eim-adf" or b == "eim-adf"
            or (ma == "eim" and mb == "eim"))


def order_decides(a, b):
    """The four ordered pairs in which the endpoint-dependent side must not send first."""
    hard = ("adm-eif", "apdm-eif")
    return (a == "eim-apdf" and b in hard) or (b == "eim-apdf" and a in hard)


def culvert(*argv, timeout=900, check=True):
    done = subprocess.run([ROOT / "culvert", *map(str, argv)], capture_output=True, text=True,
                          timeout=timeout, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def ask(scenario, out, *argv):
    """Runs a scenario; gives its rows as dictionaries."""
    culvert("run", scenario, "--out", out, *argv)
    with open(out / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


def direct_by_pair(rows):
    """(nat_a, nat_b) -> the set of outcomes over its seeds."""
    pairs = {}
    for row in rows:
        assert row["direct"] in ("true", "false"), row
        pairs.setdefault((row["nat_a"], row["nat_b"]), set()).add(row["direct"] == "true")
    return pairs


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
