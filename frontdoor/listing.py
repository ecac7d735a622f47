"""./culvert list: what there is to run."""
import json
import subprocess

from .place import ROOT, Failure, program, say
from .setup import ensure_built


def show(what=None):
    ensure_built()
    done = subprocess.run([str(program("culvert-plan")), "list", "--root", str(ROOT)],
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Failure("the planner could not list")
    there = json.loads(done.stdout)
    for group in ("scenarios", "topologies", "kinds", "services"):
        if what not in (None, group):
            continue
        say(f"\n{group.upper()}")
        width = max((len(row["name"]) for row in there[group]), default=0)
        for row in there[group]:
            say(f"  {row['name'].ljust(width)}  {row.get('about') or row.get('axes', '')}")
            if what == group:
                _details(row, width)
    if what is None:
        say("\n  ./culvert list scenarios (or topologies, kinds) shows parameters and sources.")


def _details(row, width):
    indent = " " * (width + 4)
    if row.get("source"):
        say(f"{indent}source: {row['source']}")
    for parameter in row.get("parameters", []):
        meaning = parameter["is"]
        text = f"--set {parameter['name']}={meaning.get('default', '')}"
        if meaning.get("choices"):
            text += "  (" + ", ".join(map(str, meaning["choices"])) + ")"
        if meaning.get("about"):
            text += f"  {meaning['about']}"
        say(indent + text)
