"""Cutting a lab's cables, and healing them: what is cut stays silently cut, as by a switch that fails.

A node's cable is its port of the LAN's bridge, which is disabled: carrier stays, frames do not pass.  A leg of the
router (`lan`, `lan2`, `out`) is cut by a table of its own there: nodes of one LAN still reach each other.
"""

import json
import subprocess
from collections.abc import Iterable

from podnet.errors import IOFailure
from podnet.lab.topology import ROUTER_NAME, Topology
from podnet.lab.wiring import bridge

TABLE = "inet podnet-lab-cut"
OUT = "out"
DISABLED, FORWARDING = 0, 3
"""States of a bridge's port (linux/if_bridge.h)."""


def links(lab: Topology) -> dict[str, str]:
    """Return what can be cut by name, and in words what it is."""
    nodes = {node.name: f"the cable of {node.name}" for node in lab.nodes}
    legs = {bridge(number): f"the router's leg on {bridge(number)}" for number, _ in enumerate(lab.lans)}
    return {**nodes, **legs, OUT: "the router's link to the outside"}


def cut(lab: Topology, name: str) -> None:
    """Cut it; raise `IOFailure`."""
    if name in {node.name for node in lab.nodes}:
        _port(lab, name, DISABLED)
    else:
        _cut_legs(lab, {*_legs(lab), name})


def heal(lab: Topology, name: str) -> None:
    """Make it whole again; raise `IOFailure`."""
    if name in {node.name for node in lab.nodes}:
        _port(lab, name, FORWARDING)
    else:
        _cut_legs(lab, _legs(lab) - {name})


def are_cut(lab: Topology) -> list[str]:
    """Return the names of what is cut."""
    ports = json.loads(_run("bridge", "-n", lab.lan_namespace, "-j", "link", "show"))
    nodes = {port["ifname"] for port in ports if port.get("state") == "disabled"}
    return [name for name in links(lab) if name in nodes | _legs(lab)]


def _port(lab: Topology, name: str, state: int) -> None:
    _run("bridge", "-n", lab.lan_namespace, "link", "set", "dev", name, "state", str(state))


def _legs(lab: Topology) -> set[str]:
    """Return the legs of the router that are cut."""
    tables = json.loads(_nft(lab, "-j", "list", "tables"))["nftables"]
    if not any(one.get("table", {}).get("name") == TABLE.split()[1] for one in tables):
        return set()
    listed = json.loads(_nft(lab, "-j", "list", "set", *TABLE.split(), "links"))["nftables"]
    return {name for one in listed for name in one.get("set", {}).get("elem", ())}


def _cut_legs(lab: Topology, names: Iterable[str]) -> None:
    """Have exactly these legs cut, in one step."""
    quoted = ", ".join(f'"{name}"' for name in sorted(names))
    script = f"table {TABLE}\ndelete table {TABLE}\n"
    if quoted:
        script += "\n".join([
            f"table {TABLE} {{",
            f"  set links {{ type ifname; elements = {{ {quoted} }}; }}",
            "  chain in { type filter hook prerouting priority raw; iifname @links drop; }",
            "  chain out { type filter hook postrouting priority raw; oifname @links drop; }",
            "}", "",
        ])  # fmt: skip
    _nft(lab, "-f", "-", script=script)


def _nft(lab: Topology, *words: str, script: str = "") -> str:
    return _run("ip", "netns", "exec", lab.namespace(ROUTER_NAME), "nft", *words, script=script)


def _run(*words: str, script: str = "") -> str:
    done = subprocess.run(words, input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        raise IOFailure(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
