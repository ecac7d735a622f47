"""The kernel's own NAT (nftables, conntrack) behaving as one of our kinds: the third voice beside
model/nat in ns-3 and in natbox.

How the axes of RFC 4787 come about:

mapping    `eim`, `adm`: the external port is a hash of the internal endpoint (and the remote address),
           salted with the run's seed: the same for the same endpoints, without any table.
           `apdm`: `fully-random`, a new port for every connection. With `ports=preserving` the
           internal port, whatever the mapping is called: conntrack shares it between remotes, so
           that every mapping looks endpoint-independent.
filtering  `apdf` is what conntrack does by itself. For `eif` and `adf` the packet path itself writes
           down each external port's owner and whom that has contacted; what arrives from outside is
           sent to the owner if the filter agrees.
poisoning  an early packet from outside that INPUT accepts is confirmed by conntrack, and a later
           mapping toward its sender must take another port; INPUT drop leaves no trace.

Where this and natbox differ, and why: DIFFERENCES, by kind.
"""

import random
import subprocess

from .addressing import write_sysctls

# kind → (mapping, filtering, ports); None: no translation
KINDS = {
    "open": None,
    "firewall-only": None,
    "full-cone": ("eim", "eif", "random"),
    "restricted-cone": ("eim", "adf", "random"),
    "port-restricted-cone": ("eim", "apdf", "random"),
    "symmetric": ("apdm", "apdf", "random"),
    "linux-masquerade": ("apdm", "apdf", "preserving"),
    "linux-masquerade-input-accept": ("apdm", "apdf", "preserving"),
    "linux-masquerade-random": ("apdm", "apdf", "random"),
    **{
        f"{mapping}-{filtering}": (mapping, filtering, "random")
        for mapping in ("eim", "adm", "apdm")
        for filtering in ("eif", "adf", "apdf")
    },
}

DIFFERENCES = {
    "eim-*, adm-*": "two internal endpoints may share an external port (a hash, 1 in 64,512); conntrack"
    " then tells them apart by the remote, where natbox never shares a port",
    "*-eif, *-adf": "whoever gets in makes a conntrack entry of its own, which times out on its own;"
    " natbox keeps one timer for the mapping",
    "eim-apdf, adm-apdf": "a mapping ends for each remote by itself; natbox ends it as a whole",
    "linux-masquerade*": "the kernel looks for a free port by hashing, natbox draws one: another port"
    " after poisoning, with the same effect",
    "hairpin": "with apdf the kernel's hairpin checks the address only, not the port",
    "rebind": "the kernel forgets its sessions too, natbox keeps them",
    "reboot": "connections that are up come back as new ones only if tcp_loose lets them (both do)",
}

# Axes that may be set, with the values that mean something here.
AXES = {
    "mapping": ("eim", "adm", "apdm"),
    "filtering": ("eif", "adf", "apdf"),
    "ports": ("random", "preserving"),
    "poisoning": ("yes", "no"),
    "hairpin": ("none", "internal", "external"),
    "filter_state": ("mapping",),
    "binding": ("yes",),
    "unsolicited_tcp": ("drop", "rst", "icmp"),
    "unsolicited_udp": ("drop", "icmp"),
    "udp_new": None,  # durations
    "udp_stream": None,
    "tcp_established": None,
}
TIMEOUTS = {
    "udp_new": "nf_conntrack_udp_timeout",
    "udp_stream": "nf_conntrack_udp_timeout_stream",
    "tcp_established": "nf_conntrack_tcp_timeout_established",
}
UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600}
DEFAULT_UDP_S = 300  # model/nat/config.h: five minutes (RFC 4787 REQ-5)


def seconds(text):
    """"90s", "5min" → whole seconds, at least one."""
    for unit in ("ms", "min", "h", "s"):
        if text.endswith(unit):
            try:
                return max(1, round(float(text[: -len(unit)]) * UNITS[unit]))
            except ValueError:
                break
    raise ValueError(f"'{text}' is no duration: 500ms, 30s, 5min or 2h")


def behaviour(kind, settings):
    """All axes of a kind such as "symmetric,udp_new=30s", with `settings` laid over.
    ValueError with a sentence if the kernel cannot do that."""
    name, *changes = kind.split(",")
    if name not in KINDS:
        raise ValueError(f"the kernel's NAT cannot be '{name}'; it can be {', '.join(sorted(KINDS))}")
    axes = {"kind": name, "poisoning": "yes" if name == "linux-masquerade-input-accept" else "no",
            "hairpin": "none", "unsolicited_tcp": "drop", "unsolicited_udp": "drop"}
    if KINDS[name]:
        axes.update(zip(("mapping", "filtering", "ports"), KINDS[name]))
    if not name.startswith("linux-"):  # those have the kernel's own time-outs
        axes.update(udp_new=f"{DEFAULT_UDP_S}s", udp_stream=f"{DEFAULT_UDP_S}s")
    given = [change.partition("=")[::2] for change in changes] + list(settings.items())
    for axis, value in given:
        if value == "":
            continue
        if axis not in AXES:
            raise ValueError(f"the kernel's NAT has no axis '{axis}'; it has {', '.join(AXES)}")
        if AXES[axis] is None:
            seconds(value)
        elif value not in AXES[axis]:
            raise ValueError(f"the kernel's NAT cannot do {axis}={value}; it can {', '.join(AXES[axis])}")
        axes[axis] = value
    return axes


def _quoted(names):
    return "{ " + ", ".join(f'"{name}"' for name in names) + " }"


def ruleset(axes, inside, outside, public, salt):
    """The nftables rules, as `nft -f` reads them. `public` are IPv4 addresses, `salt` moves ports."""
    flush = "table inet culvert_filter\ndelete table inet culvert_filter\n"
    flush += "table ip culvert_nat\ndelete table ip culvert_nat\n"
    if axes["kind"] == "open":
        return flush
    out, ins = f'"{outside}"', _quoted(inside)
    refuse = []
    if axes["unsolicited_tcp"] == "rst":
        refuse.append("meta l4proto tcp reject with tcp reset")
    elif axes["unsolicited_tcp"] == "icmp":
        refuse.append("meta l4proto tcp reject with icmpx type port-unreachable")
    if axes["unsolicited_udp"] == "icmp":
        refuse.append("meta l4proto udp reject with icmpx type port-unreachable")
    refuse = "".join(f"    iifname {out} {rule}\n" for rule in refuse)
    last = "accept" if axes["poisoning"] == "yes" else "drop"
    rules = flush + f"""
table inet culvert_filter {{
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname {out} ct state established,related accept
    iifname {out} icmp type echo-request accept
    iifname {out} icmpv6 type {{ echo-request, nd-neighbor-solicit, nd-neighbor-advert }} accept
{refuse}    iifname {out} {last}
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname {out} ct state established,related accept
    iifname {out} ct status dnat accept
{refuse}    iifname {out} drop
  }}
}}
"""
    if axes["kind"] == "firewall-only":
        return rules
    return rules + _translation(axes, ins, out, public, salt)


def _translation(axes, ins, out, public, salt):
    address = public[0]
    one = f"snat to {address}" if len(public) == 1 else f"snat to {public[0]}-{public[-1]} persistent"
    if axes["ports"] == "preserving":
        ports = one
    elif axes["mapping"] == "apdm":
        ports = one + (",fully-random" if len(public) > 1 else " fully-random")
    else:
        what = "ip saddr . th sport" + (" . ip daddr" if axes["mapping"] == "adm" else "")
        ports = f"snat to {address} : jhash {what} mod 64512 seed {salt:#x} offset 1024"
    hairpin = axes["hairpin"] != "none"
    timeout = seconds(axes.get("udp_stream", "120s"))
    admits = {
        "eif": "",
        "adf": "meta l4proto . th dport . ip saddr @contacted ",
        "apdf": None,  # conntrack's own
    }[axes["filtering"]]
    owner = "dnat ip to meta l4proto . th dport map @owner"
    lines_in, lines_hairpin, lines_out = [], [], []
    if admits is not None:
        lines_in.append(f"iifname {out} meta l4proto {{ tcp, udp }} {admits}{owner}")
    if hairpin:
        known = "" if axes["filtering"] == "eif" else "meta l4proto . th dport . ip daddr @contacted "
        lines_in.append(
            f"iifname {ins} ip daddr {{ {', '.join(public)} }} meta l4proto {{ tcp, udp }} {known}{owner}"
        )
        if axes["hairpin"] == "external":
            lines_hairpin.append(f"oifname {ins} ct status dnat ct direction original"
                                 f" ct original ip daddr {{ {', '.join(public)} }}"
                                 f" meta l4proto {{ tcp, udp }} iifname {ins} {ports}")
    keep = "meta l4proto { tcp, udp } ct direction"
    for where in [f"oifname {out}"] + ([f"oifname {ins} ct status snat"] if hairpin else []):
        for direction in ("original", "reply"):
            lines_out.append(f"{where} {keep} {direction} update @owner {{ meta l4proto . th sport :"
                             f" ct {direction} ip saddr . ct {direction} proto-src }}")
        lines_out.append(f"{where} {keep} original update @contacted"
                         f" {{ meta l4proto . th sport . ct original ip daddr }}")
        lines_out.append(f"{where} {keep} reply update @contacted"
                         f" {{ meta l4proto . th sport . ip daddr }}")
    block = lambda lines: "".join(f"    {line}\n" for line in lines)  # noqa: E731
    return f"""
table ip culvert_nat {{
  map owner {{
    type inet_proto . inet_service : ipv4_addr . inet_service
    flags dynamic,timeout; timeout {timeout}s; size 65536
  }}
  set contacted {{
    type inet_proto . inet_service . ipv4_addr
    flags dynamic,timeout; timeout {timeout}s; size 65536
  }}
  chain inbound {{
    type nat hook prerouting priority dstnat; policy accept;
{block(lines_in)}  }}
  chain outbound {{
    type nat hook postrouting priority srcnat; policy accept;
{block(lines_hairpin)}    oifname {out} meta l4proto {{ tcp, udp }} {ports}
    oifname {out} {one}
  }}
  chain remember {{
    type filter hook postrouting priority srcnat + 10; policy accept;
{block(lines_out)}  }}
}}
"""


class KernelNat:
    """The NAT node of a run whose engine is the kernel."""

    def __init__(self, node, network_node, run):
        self.name, self.nat, self.node, self.run = node["name"], node["nat"], network_node, run
        self.interfaces = node["interfaces"]
        self.public = [address for address in self.nat.get("public", []) if ":" not in address]
        self.axes = behaviour(self.nat["kind"], self.nat.get("set", {}))
        self.random = random.Random(f"{run.plan['rng_seed']} {self.name}")

    def start(self):
        own = {address.split("/")[0] for i in self.interfaces for address in i["addresses"]}
        for address in self.public:
            if address not in own:
                self._inside("ip", "addr", "add", f"{address}/32", "dev", self.nat["outside"])
        self._load()
        settings = [(f"net/netfilter/{TIMEOUTS[axis]}", str(seconds(self.axes[axis])))
                    for axis in TIMEOUTS if axis in self.axes]
        self.node.run_inside(lambda: write_sysctls(settings))
        self.run.log(self.name, "nat", "config",
                     **{**self.axes, "engine": "kernel", "public": ",".join(self.public)})

    def command(self, action):
        """`reboot`, `rebind`, `address ADDR[,ADDR]`, as for natbox."""
        word, _, rest = action.partition(" ")
        if word == "address":
            self._readdress([address.strip() for address in rest.split(",")])
        elif word not in ("reboot", "rebind"):
            raise RuntimeError(f"{self.name}: a kernel NAT knows reboot, rebind and address, not '{action}'")
        event = "address_change" if word == "address" else word
        self.run.log(self.name, "nat", event, addresses=",".join(self.public))
        self._load()
        self._inside("conntrack", "-F")

    def counters(self):
        """What conntrack counted: entries now, made, dropped."""
        made = self._inside("conntrack", "-C").strip()
        self.run.log(self.name, "nat", "counters", mappings=int(made) if made.isdigit() else 0)

    def _load(self):
        rules = ruleset(self.axes, self.nat["inside"], self.nat["outside"], self.public,
                        self.random.getrandbits(32))
        self._inside("nft", "-f", "-", text=rules)

    def _readdress(self, new):
        outside = self.nat["outside"]
        length = next((address.split("/")[1] for i in self.interfaces if i["name"] == outside
                       for address in i["addresses"] if ":" not in address), "32")
        self.node.run_inside(lambda: write_sysctls([("net/ipv4/conf/all/promote_secondaries", "1")]))
        for address in new:
            if address not in self.public:
                self._inside("ip", "addr", "add", f"{address}/{length}", "dev", outside)
        for address in self.public:
            if address not in new:
                subnet = length if address == self.public[0] else "32"
                self._inside("ip", "addr", "del", f"{address}/{subnet}", "dev", outside)
        self.public = new

    def _inside(self, *argv, text=None):
        try:
            done = self.node.run_inside(lambda: subprocess.run(
                argv, input=text, text=True, capture_output=True, check=False))
        except FileNotFoundError:
            raise RuntimeError(f"{argv[0]} is not installed: a kernel NAT needs it") from None
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: {argv[0]}: {' '.join(done.stderr.split())[:300]}")
        return done.stdout
