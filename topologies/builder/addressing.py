"""Interfaces, addresses, routes and neighbours of a node: one `ip -batch` and a few sysctls, because
a process for each would cost more than all the rest of bringing a network up."""

import subprocess


def hardware_address(link_index, end_index):
    """Locally administered (IEEE 802), the same in every run, so that neighbours can be known."""
    return f"02:00:{link_index >> 8 & 255:02x}:{link_index & 255:02x}:{end_index >> 8 & 255:02x}:{end_index & 255:02x}"


def _is_v6(address):
    return ":" in address


class Addressing:
    """Knows every interface of a run, so that nodes can be told their neighbours beforehand: then no
    address resolution stands between the start of a run and its first packet."""

    def __init__(self, run):
        self.run = run
        self.links = {link["name"]: link for link in run["links"]}
        self.hardware = {}  # interface → hardware address
        self.on_link = {name: [] for name in self.links}  # link → [(interface, addresses)]
        position = {name: index for index, name in enumerate(self.links)}
        self.has_v6 = False
        for node in run["nodes"]:
            for interface in node["interfaces"]:
                name, link = interface["name"], interface["link"]
                end = len(self.on_link[link])
                self.hardware[name] = hardware_address(position[link], end)
                bare = [address.split("/")[0] for address in interface["addresses"]]
                nat = node.get("nat")
                if nat and nat["outside"] == name:
                    bare += [address for address in nat.get("public", []) if address not in bare]
                self.on_link[link].append((name, bare))
                self.has_v6 = self.has_v6 or any(map(_is_v6, bare))

    def batch(self, node):
        """The lines for `ip -batch` that configure `node`."""
        lines = ["link set lo up"]
        for interface in node["interfaces"]:
            name, link = interface["name"], self.links[interface["link"]]
            mtu = int(link.get("mtu", 1500))
            lines.append(f"link set {name} address {self.hardware[name]} mtu {mtu} up")
            for address in interface["addresses"]:
                lines.append(f"addr add {address} dev {name}" + (" nodad" if _is_v6(address) else ""))
        for route in node.get("routes", []):
            via = f" via {route['via']}" if route.get("via") else ""
            device = f" dev {route['interface']}" if route.get("interface") else ""
            lines.append(f"route replace {route['to']}{via}{device}")
        for interface in node["interfaces"]:
            for other, addresses in self.on_link[interface["link"]]:
                if other == interface["name"]:
                    continue
                for address in addresses:
                    lines.append(
                        f"neigh replace {address} lladdr {self.hardware[other]}"
                        f" dev {interface['name']} nud permanent"
                    )
        return lines

    def sysctls(self, node):
        """Settings of the node's namespace, before its interfaces are there."""
        forward = "1" if node.get("forward") or node["kind"] in ("router", "nat") else "0"
        settings = [
            ("net/ipv4/ip_forward", forward),
            ("net/ipv4/conf/all/rp_filter", "0"),
            ("net/ipv4/conf/default/rp_filter", "0"),
            ("net/ipv4/conf/all/send_redirects", "0"),
            ("net/ipv4/conf/default/send_redirects", "0"),
            # A simulated router answers every packet whose TTL ran out; Linux would ration them.
            ("net/ipv4/icmp_ratelimit", "0"),
            ("net/ipv6/icmp/ratelimit", "0"),
        ]
        if self.has_v6:
            settings += [
                ("net/ipv6/conf/all/forwarding", forward),
                ("net/ipv6/conf/default/accept_dad", "0"),
                ("net/ipv6/conf/default/accept_ra", "0"),
                ("net/ipv6/conf/default/router_solicitations", "0"),
            ]
        else:  # no router solicitations, no multicast reports: nothing but what the run sends
            settings += [
                ("net/ipv6/conf/all/disable_ipv6", "1"),
                ("net/ipv6/conf/default/disable_ipv6", "1"),
            ]
        return settings


def write_sysctls(settings):
    """In the namespace that this process is in. A kernel without one of them has nothing to set."""
    for name, value in settings:
        try:
            with open(f"/proc/sys/{name}", "w", encoding="ascii") as file:
                file.write(value)
        except FileNotFoundError:
            pass


def run_batch(lines):
    """Runs `ip -batch` in the namespace that this process is in."""
    done = subprocess.run(
        ["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError("ip: " + " ".join(done.stderr.split()))
