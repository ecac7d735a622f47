"""What must hold before anything is started: rights, programs, and a plan that can be executed.

Every problem is one sentence, raised as BadInput; the program then ends with exit code 2."""

import json
import os
import shutil

from .taps import NAME_LIMIT


class BadInput(Exception):
    """A sentence for the user."""


def rights():
    if os.geteuid() != 0:
        raise BadInput("Mininet needs root: it makes network namespaces and interfaces; use sudo")
    if not os.path.exists("/dev/net/tun"):
        raise BadInput("there is no /dev/net/tun: load the kernel's module tun")


def read_plan(path):
    try:
        with open(path, encoding="utf-8") as file:
            plan = json.load(file)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise BadInput(f"{path} is not JSON: {error}") from None
    if not isinstance(plan, dict) or plan.get("format") != 1:
        raise BadInput(f"{path} is no plan of format 1")
    if not isinstance(plan.get("runs"), list):
        raise BadInput(f"{path} has no list of runs")
    return plan


def choose_runs(plan, path, wanted=None):
    """The runs for Linux, or the one with id `wanted`."""
    runs = [run for run in plan["runs"] if run.get("world") == "linux"]
    if wanted is not None:
        runs = [run for run in runs if run.get("id") == wanted]
        if not runs:
            raise BadInput(f"{path} has no run '{wanted}' for Linux")
    if not runs:
        raise BadInput(f"{path} has no runs for Linux")
    for run in runs:
        _check_run(run, path)
    return runs


def _check_run(run, path):
    where = f"{path}: run {run.get('id', '?')}"
    try:
        links = {link["name"] for link in run["links"]}
        nodes = {node["name"]: node for node in run["nodes"]}
        ends = {name: 0 for name in links}
        seen = set()
        for node in run["nodes"]:
            for interface in node["interfaces"]:
                name = interface["name"]
                if interface["link"] not in links:
                    raise BadInput(f"{where}: {name} is on '{interface['link']}', which is no link")
                if len(name) > NAME_LIMIT:
                    raise BadInput(f"{where}: interface name '{name}' is longer than {NAME_LIMIT}")
                if name in seen:
                    raise BadInput(f"{where}: interface name '{name}' is used twice")
                seen.add(name)
                ends[interface["link"]] += 1
            if node.get("nat"):
                _check_nat(node, where)
        for name, count in ends.items():
            if count < 2:
                raise BadInput(f"{where}: link '{name}' has fewer than two ends")
        services = set()
        for service in run["services"]:
            if service["node"] not in nodes:
                raise BadInput(f"{where}: service on '{service['node']}', which is no node")
            services.add((service["node"], service["name"]))
        for step in run.get("timeline", []):
            if "link" in step:
                known = step["link"] in links
            elif "service" in step:
                known = (step["node"], step["service"]) in services
            else:
                known = bool(nodes.get(step["node"], {}).get("nat"))
            if not known:
                raise BadInput(f"{where}: no such target of a timeline step: {json.dumps(step)}")
        for key in ("id", "seed", "rng_seed", "budget_ms"):
            run[key]  # pylint: disable=pointless-statement
        if "/" in run["id"] or run["id"].startswith("."):
            raise BadInput(f"{where}: an id names files, so it must not hold '/'")
    except (KeyError, TypeError) as error:
        raise BadInput(f"{where}: {error} is missing or of the wrong type") from None


def _check_nat(node, where):
    nat = node["nat"]
    own = {interface["name"] for interface in node["interfaces"]}
    for name in [nat["outside"], *nat["inside"]]:
        if name not in own:
            raise BadInput(f"{where}: NAT {node['name']} has no interface '{name}'")
    engine = nat.get("engine", "culvert")
    if engine not in ("culvert", "kernel"):
        raise BadInput(f"{where}: NAT {node['name']}: engine is culvert or kernel, not '{engine}'")
    if engine == "kernel":
        from . import kernel_nat  # pylint: disable=import-outside-toplevel

        try:
            kernel_nat.behaviour(nat["kind"], nat.get("set", {}))
        except ValueError as error:
            raise BadInput(f"{where}: NAT {node['name']}: {error}") from None


def programs(runs, folder):
    """Everything that the runs will start is there."""
    ours, systems = {"culvert-wire"}, {"ip"}
    for run in runs:
        if run["services"]:
            ours.add("culvert-node")
        for node in run["nodes"]:
            if node.get("nat"):
                if node["nat"].get("engine", "culvert") == "kernel":
                    systems |= {"nft", "conntrack"}
                else:
                    ours.add("culvert-natbox")
    for name in sorted(ours):
        if not os.access(os.path.join(folder, name), os.X_OK):
            raise BadInput(f"{name} is not in {folder}: build it (./culvert setup) or give --bin")
    for name in sorted(systems):
        if shutil.which(name) is None:
            raise BadInput(f"the program '{name}' is missing: apt-get install {PACKAGES[name]}")


PACKAGES = {"ip": "iproute2", "nft": "nftables", "conntrack": "conntrack"}
