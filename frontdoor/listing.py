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
    inherited = {row["name"]: {p["name"]: p["is"] for p in row.get("parameters", [])}
                 for row in there["topologies"]}
    for group in ("scenarios", "topologies", "kinds", "services"):
        if what not in (None, group):
            continue
        say(f"\n{group.upper()}")
        width = max((len(row["name"]) for row in there[group]), default=0)
        for row in there[group]:
            say(f"  {row['name'].ljust(width)}  {row.get('about') or row.get('axes', '')}")
            if what == group:
                _details(row, width, inherited.get(row.get("topology"), {}))
    if what is None:
        say("\n  ./culvert list scenarios (or topologies, kinds) shows parameters and sources.")
    elif what == "scenarios":
        say("\n  A scenario takes the parameters of its topology, too: ./culvert list topologies")


def _details(row, width, of_topology):
    indent = " " * (width + 4)
    if row.get("source"):
        say(f"{indent}source: {row['source']}")
    if row.get("topology"):
        only = f", on {row['worlds'][0]} only" if len(row.get("worlds", "--")) == 1 else ""
        varies = ", ".join(row.get("varies", [])) or "nothing"
        say(f"{indent}in {row['topology']}{only}; varies {varies}")
    for parameter in row.get("parameters", []):
        meaning = {**of_topology.get(parameter["name"], {}), **parameter["is"]}
        default = meaning.get("default", "")
        text = f"--set {parameter['name']}={default if default != '' else chr(39) * 2}"
        if meaning.get("choices"):
            text += "  (" + ", ".join(map(str, meaning["choices"])) + ")"
        if meaning.get("about"):
            text += f"  {meaning['about']}"
        say(indent + text)
