"""Agreement: kernel and database have what the runtime's attachments ask for, and nothing else has come or gone."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, NamedTuple

from podnet.datapath.hardware import link_local
from podnet.testing.namespaces import shaping_of
from podnet.testing.node import Node
from podnet.testing.waiting import eventually
from tests.crashes.sequence import Kind

HOST_LOCAL = "/run/host-local"
CONTAINER_PORT = 5353
OWN_TABLES = {("inet", "podnet"), ("bridge", "podnet")}
BRIDGES = {"second": "br1"}
LEDGER = """
SELECT 'lease', network, container, ifname || ' ' || link FROM lease WHERE closed IS NULL
UNION ALL SELECT 'address', network, container, hex(address) FROM address JOIN lease ON lease.id = address.lease
    WHERE released IS NULL
UNION ALL SELECT 'port', network, container, protocol || ' ' || port || ' ' || hex(address) FROM port
    JOIN lease ON lease.id = port.lease
"""
PENDING = "SELECT network, container, link FROM lease WHERE cut IS NOT NULL AND closed IS NULL"


class Held(NamedTuple):
    """An attachment as its runtime knows it: what was asked for, and the result of its ADD."""

    container: str
    kind: Kind
    ports: tuple[int, ...]
    limited: bool
    result: dict[str, Any]

    @property
    def link(self) -> str:
        """The host's end, as the result tells it; a bridge stands before it."""
        return str([i["name"] for i in self.result["interfaces"] if not i.get("sandbox")][-1])

    @property
    def links(self) -> list[str]:
        """All links on the node."""
        return [self.link, *([self.link.replace("veth-", "ifb-")] if self.limited else [])]

    @property
    def mac(self) -> str:
        """The MAC of the pod's end."""
        return str(next(i["mac"] for i in self.result["interfaces"] if i.get("sandbox")))

    @property
    def addresses(self) -> list[str]:
        """The addresses, without prefix lengths."""
        return [ip["address"].partition("/")[0] for ip in self.result["ips"]]


State = dict[str, Any]


def listed(node: Node) -> State:
    """Return all that is listed of the node, in an order that does not depend on the kernel's hashes."""
    state = {**node.state(), **shaping_of(f"/proc/{node.pid}/ns/net")}
    state["fdb"] = [entry for entry in state["fdb"] if entry.get("state") == "permanent"]
    state["ruleset"] = [{kind: _sorted(thing) for kind, thing in entry.items()} for entry in state["ruleset"]]
    state["routes"] = [route for family in state["routes"] for route in family]
    state["sysctls"] = state["sysctls"].splitlines()
    return state


def require_agreement(
    node: Node, datapath: str, baseline: State, bystanders: Iterable[Held], held: Sequence[Held]
) -> None:
    """Raise AssertionError unless all that is there is `baseline`, in which `bystanders` are, and what is `held`."""
    with suppress(TimeoutError):
        eventually(lambda: not node.rows(PENDING), "what was cut off is closed")
    same("what was cut off and is not closed", node.rows(PENDING), [])
    everybody = [*bystanders, *held]
    _require_no_sharing(everybody)
    same("the database", node.rows(LEDGER), _ledger(everybody))
    same(
        "host-local",
        _lent(node),
        [[a, one.container] for one in everybody if one.kind == "lent" for a in one.addresses],
    )
    state, names = listed(node), {name for one in held for name in one.links}
    same("links", [name["ifname"] for name in state["links"] if name["ifname"] in names], list(names))
    for what in ("links", "addresses", "routes", "neighbours", "fdb", "sysctls", "qdiscs"):
        same(what, [thing for thing in state[what] if not _of(thing, names)], baseline[what])
    addresses = [[a, one.link] for one in held for a in one.addresses]
    for what in ("routes", "neighbours"):
        same(f"pods' {what}", [[thing["dst"], thing["dev"]] for thing in state[what] if _of(thing, names)], addresses)
    same("pods' qdiscs", [[q["dev"], q["kind"]] for q in state["qdiscs"] if _of(q, names)], list(_qdiscs(held)))
    redirected = {dev: to for dev in state["filters"] if dev in names for to in _targets(state["filters"][dev])}
    same("filters", list(redirected.items()), [(one.link, one.links[1]) for one in held if one.limited])
    same("the ruleset", state["ruleset"], _with_elements(baseline["ruleset"], datapath, held))
    same("what is spooled", node.sh("ls /var/lib/podnet/spool 2>/dev/null || true").split(), [])
    same("one-shots", [word for word in ("podnet.oneshot",) if node.has_process(word)], [])


def require_all_equal(found: State, wanted: State) -> None:
    """Raise AssertionError with what differs."""
    for what, things in wanted.items():
        if what != "filters":
            same(what, found[what], things)
    same("filters", list(found["filters"].items()), list(wanted["filters"].items()))


def same(what: str, found: Iterable[Any], wanted: Iterable[Any]) -> None:
    """Raise AssertionError with what is too much and what is missing, in no order."""
    one, other = (sorted(json.dumps(thing, sort_keys=True) for thing in things) for things in (found, wanted))
    if one == other:
        return
    lines = [f"{what}:"]
    lines += [f"  too much: {thing}" for thing in _less(one, other)]
    lines += [f"  missing:  {thing}" for thing in _less(other, one)]
    raise AssertionError("\n".join(lines))


def _less(these: Iterable[str], those: Iterable[str]) -> list[str]:
    rest, left = list(those), []
    for thing in these:
        if thing in rest:
            rest.remove(thing)
        else:
            left.append(thing)
    return left


def _require_no_sharing(everybody: Sequence[Held]) -> None:
    addresses = [address for one in everybody for address in one.addresses]
    ports = [port for one in everybody for port in one.ports]
    assert len(addresses) == len(set(addresses)), f"an address was given twice: {sorted(addresses)}"
    assert len(ports) == len(set(ports)), f"a host port was given twice: {sorted(ports)}"


def _ledger(everybody: Iterable[Held]) -> list[list[str]]:
    rows = []
    for one in everybody:
        who = [one.kind, one.container]
        rows.append(["lease", *who, f"eth0 {one.link}"])
        for address in map(ip_address, one.addresses):
            rows.append(["address", *who, f"{address.version:02X}{address.packed.hex().upper()}"])
            every = f"{address.version:02X}{bytes(len(address.packed)).hex()}"
            rows += [["port", *who, f"udp {port} {every}"] for port in one.ports]
    return rows


def _lent(node: Node) -> list[list[str]]:
    """Return [address, container] of what host-local says it has lent."""
    lines = node.sh(f"cd {HOST_LOCAL}/lent && for f in 10.*; do echo $f $(head -n 1 $f); done").splitlines()
    return [line.split() for line in lines]


def _of(thing: Any, names: set[str]) -> bool:
    """Tell whether a listed thing is one of the links `names`, or is on one of them."""
    if isinstance(thing, str):
        return any(f"/{name}/" in thing for name in names)
    return thing.get("ifname", thing.get("dev")) in names


def _qdiscs(held: Iterable[Held]) -> Iterable[list[str]]:
    for one in held:
        if one.limited:
            yield from ([one.link, "tbf"], [one.link, "ingress"], [one.links[1], "tbf"])
        else:
            yield [one.link, "noqueue"]


def _targets(filters: Iterable[dict[str, Any]]) -> Iterable[str]:
    return [action["to_dev"] for f in filters for action in f.get("options", {}).get("actions", ())]


def _with_elements(ruleset: Iterable[dict[str, Any]], datapath: str, held: Iterable[Held]) -> list[dict[str, Any]]:
    """Return `ruleset` with the elements of the `held`."""
    more: dict[str, list[Any]] = {}
    for one in held:
        bridge = BRIDGES.get(one.kind, "br0" if one.kind == "podnet" and datapath == "bridge" else "")
        local = str(link_local(one.mac))
        for address in one.addresses:
            version = ip_address(address).version
            elements = {
                f"pods{version}": [[bridge or one.link, address]],
                f"hairpin{version}": [[address, address]],
                f"ports{version}": [[one.link, one.mac, address]] if bridge else [],
            }
            if version == 6:
                elements["pods6"].append([bridge or one.link, local])
                elements["ports6"] += [[one.link, one.mac, other] for other in (local, "::") if bridge]
            for name, keys in elements.items():
                more.setdefault(name, []).extend({"concat": key} for key in keys)
            more.setdefault(f"own{version}", []).append(address)
            more.setdefault(f"hostports{version}", []).extend(
                [{"concat": ["udp", port]}, {"concat": [address, CONTAINER_PORT]}] for port in one.ports
            )
    rules = []
    for entry in ruleset:
        ((kind, thing),) = entry.items()
        ours = (thing.get("family"), thing.get("table")) in OWN_TABLES and kind in {"set", "map"}
        added = more.get(thing["name"], []) if ours else []
        rules.append({kind: _sorted({**thing, "elem": [*thing.get("elem", []), *added]}) if added else thing})
    return rules


def _sorted(thing: Any) -> Any:
    """Return a set or map with its elements in an order of their own."""
    if isinstance(thing, dict) and isinstance(thing.get("elem"), list):
        return {**thing, "elem": sorted(thing["elem"], key=json.dumps)}
    return thing
