"""A plan and the folder it was executed in: what every part of analysis asks of plan.json.

Stands on docs/reference/plan.md. Gives the columns, the voices (ns3, linux, kernel), which columns
form a pair of NATs, and the command that runs a run again.
"""

import json
import shlex
from pathlib import Path

from analysis.errors import AnalysisError

FORMAT = 1
# The voices in the order of every table: the simulator, the same code on Linux, the kernel's NAT.
VOICES = {"ns3": "ns-3", "linux": "Linux", "kernel": "kernel NAT"}


def load_plan(source):
    """The plan in `source`: a dict, a plan.json or its folder. AnalysisError if unusable."""
    if isinstance(source, dict):
        return _checked(source, "the plan")
    path = Path(source)
    if path.is_dir():
        path = path / "plan.json"
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AnalysisError("%s: there is no such plan" % path) from None
    except (OSError, ValueError, RecursionError) as error:
        raise AnalysisError("%s: not a plan: %s" % (path, error)) from None
    return _checked(plan, str(path))


def _checked(plan, where):
    if not isinstance(plan, dict) or not isinstance(plan.get("runs"), list):
        raise AnalysisError("%s: not a plan: there is no list `runs`" % where)
    if plan.get("format", FORMAT) != FORMAT:
        raise AnalysisError("%s: plan format %r is not known (only %d)"
                            % (where, plan.get("format"), FORMAT))
    for index, run in enumerate(plan["runs"]):
        if not isinstance(run, dict) or not isinstance(run.get("id"), str) or "world" not in run:
            raise AnalysisError("%s: run %d has no `id` or no `world`" % (where, index))
        if "/" in run["id"] or run["id"].startswith("."):
            raise AnalysisError("%s: run id %r is not a file name" % (where, run["id"]))
    return plan


def columns(plan):
    """Names of the columns that tell one cell from another."""
    return list(plan.get("columns", []))


def voice(run):
    """Who answers in this run: its world, or `kernel` where the NATs are the kernel's own."""
    engines = {nat_engine(node) for node in run.get("nodes", []) if node.get("kind") == "nat"}
    engines.add(run.get("parameters", {}).get("engine", run.get("engine")))
    return "kernel" if "kernel" in engines else str(run["world"])


def nat_engine(node):
    return (node.get("nat") or {}).get("engine", "culvert")


def voice_order(name):
    """Sort key of a voice: the known ones in their order, others after them by name."""
    known = list(VOICES)
    return (known.index(name) if name in known else len(known), str(name))


def voice_name(name):
    return VOICES.get(name, str(name))


def value_of(run, name):
    """Value of a column or parameter in this run, None if it has none.

    A column may be a bundle of parameters under one label (`pair`, `disturbance`): then the label.
    """
    parameters = run.get("parameters", {})
    label = run.get("labels", {}).get(name)
    value = parameters.get(name, run.get(name))
    if label is None or (value is not None and not isinstance(value, str)):
        return value if value is not None else label
    return label


def cell_values(plan, run):
    """Values of the plan's columns in this run, in their order; a column it lacks gives None."""
    return [value_of(run, c) for c in columns(plan)]


def compared_columns(plan):
    """The columns by which cells of different voices are compared: all but world and engine."""
    return [c for c in columns(plan) if c not in ("engine", "world")]


def pair_columns(plan):
    """The two columns that name both sides' NATs (`nat_a`, `nat_b`), or None."""
    names = compared_columns(plan)
    for first in names:
        if first.endswith("_a") and first[:-2] + "_b" in names:
            values = [value_of(run, first) for run in plan["runs"]]
            if any(isinstance(v, str) for v in values):
                return first, first[:-2] + "_b"
    return None


def facet_columns(plan):
    """Columns that are neither the pair nor the voice: technique, loss, …"""
    pair = pair_columns(plan) or ()
    return [c for c in compared_columns(plan) if c not in pair]


def measure_names(plan):
    return [m.get("name") for m in plan.get("measures", []) if isinstance(m, dict)]


def success_measure(plan):
    """The measure that says whether a run succeeded: `direct`, or the first that is all or any."""
    measures = [m for m in plan.get("measures", []) if isinstance(m, dict)]
    yes_no = [m.get("name") for m in measures if m.get("of") in ("all", "any")]
    return "direct" if "direct" in yes_no else (yes_no[0] if yes_no else None)


def time_measure(plan):
    """The measure of time: `time_ms`, or the first that is elapsed or of paired events; or None."""
    elapsed = [m.get("name") for m in plan.get("measures", [])
               if isinstance(m, dict) and (m.get("of") == "elapsed" or "match" in m)]
    return "time_ms" if "time_ms" in elapsed else (elapsed[0] if elapsed else None)


def rerun_command(plan, run):
    """The command that runs exactly this run again, for a shell."""
    base = str(plan.get("rerun") or "culvert run %s" % plan.get("scenario", "SCENARIO"))
    if base.startswith("culvert "):
        base = "./" + base
    words = [base, "--on %s" % shlex.quote(str(run["world"]))]
    for name, value in zip(columns(plan), cell_values(plan, run)):
        if value is not None and name != "world":
            words.append("--set " + shlex.quote("%s=%s" % (name, plain(value))))
    words.append("--seed %s" % shlex.quote(str(run.get("seed", 1))))
    return " ".join(words)


def plain(value):
    """A column's value as it is written in a command or a heading: 0.01, not 0.010000."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "%g" % value
    return str(value)


def log_path(out_dir, run):
    return Path(out_dir) / "logs" / (run["id"] + ".jsonl")
