"""A run's network as Mininet objects: nodes are Mininet nodes, links a Mininet Link class whose ends
are TAPs that one culvert-wire process joins. Nothing of Mininet's clean-up, NAT or controllers."""

import os
import subprocess

from mininet.link import Intf, Link
from mininet.net import Mininet
from mininet.node import Node

from . import confine
from .addressing import write_sysctls
from .taps import open_tap

Mininet.inited = True  # Mininet.init() would raise limits of the whole machine; we need none of that

OWN_NAMESPACE = "/proc/self/ns/net"


class PlanNode(Node):
    """A Mininet node that starts no shell unless there is a prompt to type at: one sleeping process
    holds its namespace, and daemons are started straight into it."""

    def __init__(self, name, interactive=False, **params):
        self.interactive = interactive
        self.namespace = None
        super().__init__(name, **params)
        if self.namespace is None:
            self.namespace = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def startShell(self, mnopts=None):  # noqa: N802 (Mininet's name)
        if self.interactive:
            super().startShell(mnopts)
            return
        home = os.open(OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            confine.unshare(confine.CLONE_NEWNET)
            self.namespace = os.open(OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
            self.shell = subprocess.Popen(
                ["sleep", "infinity"], stdin=subprocess.DEVNULL, start_new_session=True
            )
            self.pid = self.shell.pid
        finally:
            confine.setns(home)
            os.close(home)

    def mountPrivateDirs(self):  # noqa: N802
        pass

    def unmountPrivateDirs(self):  # noqa: N802
        pass

    def terminate(self):
        if self.interactive:
            super().terminate()
        elif self.shell:
            self.shell.kill()
            self.shell.wait()
            self.shell = None

    def config(self, **_params):  # addresses and routes come from the plan, in one batch
        return {}

    def run_inside(self, function):
        """Calls `function()` with this process in the node's network namespace."""
        home = os.open(OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
        confine.setns(self.namespace)
        try:
            return function()
        finally:
            confine.setns(home)
            os.close(home)

    def spawn(self, argv, **options):
        """A process in the node's namespace, without a shell or helper program between."""
        return self.run_inside(lambda: subprocess.Popen(argv, **options))


class WireIntf(Intf):
    """A TAP inside a node. `descriptor` is its other side, for culvert-wire."""

    def __init__(self, name, node=None, descriptor=-1, **params):
        self.descriptor = descriptor
        super().__init__(name, node=node, moveIntfFn=lambda *_: None, **params)

    def config(self, **_params):
        return {}

    def delete(self):
        self.node.delIntf(self)
        self.link = None


class WireLink(Link):
    """A cable between two nodes: TAPs where Mininet would put a veth pair."""

    def __init__(self, node1, node2, intfName1=None, intfName2=None, link=None, **_params):
        # pylint: disable=super-init-not-called
        self.plan = link
        self.intf1 = tap_interface(node1, intfName1, self)
        self.intf2 = tap_interface(node2, intfName2, self)


def tap_interface(node, name, link):
    return WireIntf(name, node=node, link=link, descriptor=node.run_inside(lambda: open_tap(name)))


class PlanNetwork(Mininet):
    """The nodes and links of one run."""

    def __init__(self, run, addressing, interactive=False):
        super().__init__(controller=None, link=WireLink, host=PlanNode, build=False)
        self.run_plan = run
        self.ends = {}  # link's name → interfaces, in the order of the plan
        for node in run["nodes"]:
            made = self.addHost(node["name"], ip=None, interactive=interactive)
            settings = addressing.sysctls(node)
            made.run_inside(lambda: write_sysctls(settings))  # pylint: disable=cell-var-from-loop
        ends = {link["name"]: [] for link in run["links"]}
        for node in run["nodes"]:
            for interface in node["interfaces"]:
                ends[interface["link"]].append((node["name"], interface["name"]))
        for link in run["links"]:
            self._add(link, ends[link["name"]])
        self._tell_addresses()
        self.built = True

    def _add(self, link, ends):
        if len(ends) == 2:
            (node1, name1), (node2, name2) = ends
            made = self.addLink(node1, node2, intfName1=name1, intfName2=name2, link=link)
            self.ends[link["name"]] = [made.intf1, made.intf2]
            return
        interfaces = [tap_interface(self[node], name, None) for node, name in ends]
        self.ends[link["name"]] = interfaces

    def _tell_addresses(self):
        """Mininet's own record, for node.IP() and the prompt's pings; the plan has set them."""
        for node in self.run_plan["nodes"]:
            for interface in node["interfaces"]:
                v4 = [address for address in interface["addresses"] if ":" not in address]
                if v4:
                    end = self[node["name"]].nameToIntf[interface["name"]]
                    end.ip, _, end.prefixLen = v4[0].partition("/")

    def wire_config(self):
        """What culvert-wire is told, and the descriptors that it must inherit."""
        links = []
        for link in self.run_plan["links"]:
            # A radio's last end is the carrier's, so the ends stand as the plan has them.
            ends = sorted(self.ends[link["name"]], key=lambda end: link["ends"].index(end.node.name))  # pylint: disable=W0640
            entry = {**link, "ends": [
                {"interface": end.name, "node": end.node.name, "fd": end.descriptor} for end in ends
            ]}
            links.append(entry)
        descriptors = [end.descriptor for ends in self.ends.values() for end in ends]
        return {"links": links}, descriptors

    def close_descriptors(self):
        """Once culvert-wire has them."""
        for ends in self.ends.values():
            for end in ends:
                os.close(end.descriptor)
                end.descriptor = -1
