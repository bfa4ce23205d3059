"""Namespaces to test in: a node's with an uplink, pods' beside it, and their state as `ip`, `tc` and `nft` tell it."""

import json
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from podnet.kernel import Kernel
from podnet.kernel.namespace import OWN, entered, identity, open_namespace
from podnet.model import Namespace


class NodeNamespace:
    """A node's namespace with an uplink, the kernel opened in it, and pods' namespaces that it knows by name."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        """Make the namespace `name`; `stack` ends it."""
        self.name = name
        self._stack = stack
        make_namespace(name, stack)
        self.sh(
            "ip link set lo up; ip link add up0 address 02:00:00:00:00:0a type veth peer name far0 address "
            "02:00:00:00:00:0b; ip link set up0 addrgenmode none up; ip link set far0 addrgenmode none up; "
            "ip addr add 10.99.0.11/24 dev up0; ip addr add fd99::11/64 dev up0 nodad"
        )
        self._descriptor = open_namespace(name)
        home = open_namespace(OWN)
        self._home = home
        with self.inside():
            self.kernel = Kernel()
        stack.callback(self.kernel.close)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be in the node's namespace."""
        with entered(self._descriptor, self._home):
            yield

    def pod(self, name: str) -> Namespace:
        """Make a pod's namespace called `name`."""
        make_namespace(name, self._stack)
        descriptor = open_namespace(name)
        return Namespace(descriptor, identity(descriptor), name)

    def sh(self, script: str) -> str:
        """Run `script` with sh in the node's namespace; return what it prints."""
        done = subprocess.run(
            ["nsenter", f"--net=/run/netns/{self.name}", "sh", "-e"],
            input=script,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{script}\n{done.stderr}")
        return done.stdout

    def state(self) -> dict[str, Any]:
        """Return the kernel's state of this namespace as `ip` and `nft` tell it."""
        return state_of(self.name)


def make_namespace(name: str, stack: ExitStack) -> None:
    """Make a namespace of ip-netns(8) that `stack` ends."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    stack.callback(subprocess.run, ["ip", "netns", "del", name], check=True)


DRAWN = {"ifindex", "link_index", "link_netnsid", "handle", "root_id", "stats", "stats64", "expires", "link"} | {
    "tso_max_size",
    "index",
}
"""What differs between two runs of the same: numbers that are drawn, and what a bridge retains of ports
that it had."""


def state_of(namespace: str) -> dict[str, Any]:
    """Return what `ip`, `bridge` and `nft` list in `namespace` (a name or a path) and sysctls less what is drawn.

    Carriers are left out too, and what follows from them: the kernel tells of them later (linkwatch).
    """

    def listed(command: str) -> Any:
        return _listed(namespace, command)

    state = {
        "links": sorted(listed("ip -j -d link"), key=lambda link: str(link["ifname"])),
        "addresses": sorted(listed("ip -j addr"), key=lambda link: str(link["ifname"])),
        "routes": [
            sorted((r for r in listed(f"ip -j {v} route show table all") if r["dst"] != "ff00::/8"), key=str)
            for v in ("-4", "-6")
        ],
        "neighbours": sorted(listed("ip -j neigh show nud permanent"), key=str),
        "fdb": sorted(
            (e for e in listed("bridge -j fdb show") if "master" in e.get("flags", []) or "master" in e or "dst" in e),
            key=str,
        ),
        "ruleset": _by_family(o for o in listed("nft -j list ruleset").get("nftables", []) if "metainfo" not in o),
        "sysctls": sysctls(namespace),
    }
    return {what: without_carrier(found) for what, found in state.items()}


def shaping_of(namespace: str) -> dict[str, Any]:
    """Return the qdiscs in `namespace` and the filters of what arrives, as `tc` lists them, less what is drawn."""
    qdiscs = sorted(_listed(namespace, "tc -j qdisc"), key=lambda qdisc: (str(qdisc["dev"]), str(qdisc["kind"])))
    ingress = [qdisc["dev"] for qdisc in qdiscs if qdisc["kind"] == "ingress"]
    return {
        "qdiscs": qdiscs,
        "filters": {dev: _listed(namespace, f"tc -j filter show dev {dev} ingress") for dev in ingress},
    }


def _by_family(ruleset: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the objects of a ruleset family by family, of which none knows when another's table was made."""
    return sorted(ruleset, key=lambda entry: str(next(iter(entry.values()))["family"]))


def _listed(namespace: str, command: str) -> Any:
    """Return what `command` prints as JSON in `namespace`, less what is drawn."""
    argv = ["nsenter", f"--net={path_of(namespace)}", *command.split()]
    out = subprocess.run(argv, text=True, capture_output=True, check=True).stdout
    return _plain(json.loads(out or "[]"))


def path_of(namespace: str) -> str:
    """Return the path of a namespace that is given as a path, or as a name of ip-netns(8)."""
    return namespace if "/" in namespace else f"/run/netns/{namespace}"


def without_carrier(state: Any) -> Any:
    """Return `state` without what follows from a bridge having had a port: its carrier, told in several places."""
    if isinstance(state, dict):
        return {k: without_carrier(v) for k, v in state.items() if k != "operstate"}
    if isinstance(state, list):
        return [without_carrier(v) for v in state if v not in ("NO-CARRIER", "LOWER_UP", "linkdown")]
    return state


def sysctls(namespace: str) -> str:
    """Return the sysctls that plans speak of, all links."""
    names = "forwarding accept_ra disable_ipv6 send_redirects addr_gen_mode route_localnet"
    find = " -o ".join(f"-name {name}" for name in names.split())
    command = f"find /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf '(' {find} ')' -exec grep -H . '{{}}' + | sort"
    argv = ["nsenter", f"--net={path_of(namespace)}", "sh", "-c", command]
    return subprocess.run(argv, text=True, capture_output=True, check=True).stdout


def _plain(value: Any) -> Any:
    """Return `value` without the keys that hold drawn numbers and timers."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k not in DRAWN and not k.endswith("_timer")}
    return [_plain(v) for v in value] if isinstance(value, list) else value
