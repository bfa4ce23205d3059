"""The topology of a lab as a drawing of at most a given width.  Pure."""

from collections.abc import Iterable, Mapping, Sequence

from podnet.lab.topology import (
    OUTSIDE,
    OUTSIDE_MTU,
    UPLINK_MTU,
    IPAddress,
    LabNode,
    Topology,
    router,
)

GAP = 2
ROUTERS = {"bgp": "hears the ways to pods from the reflectors, n1 and n2"}
TRUNK = 3  # the column of the line from the router down to the LAN
DATAPATHS = {
    "ptp": "ptp: each pod has a veth of its own, routed by its node",
    "bridge": "bridge: a node's pods are on its br0, each on a port of its own, routed by the node",
}


def draw(lab: Topology, pods: Mapping[str, Sequence[IPAddress]], width: int = 100) -> str:
    """Return the drawing of `lab`; `pods` are the addresses by pod name (n1-red), `width` is in characters."""
    routers = joined(router(lan, f) for lan in lab.lans for f in lab.families)
    lines = [
        f"outside  {joined(OUTSIDE[f] for f in lab.families)}  sees nodes, never pods (masquerade)",
        f"{' ' * TRUNK}│     MTU {OUTSIDE_MTU}",
        f"router   {routers}  {ROUTERS.get(lab.backend, 'knows no route to any pod')}",
    ]
    for number, lan in enumerate(lab.lans):
        boxes = [box(node, lab, pods) for node in lab.nodes if node.lan == number]
        lines.append(f"{' ' * TRUNK}│     MTU {UPLINK_MTU}, LAN {joined(lan[f] for f in lab.families)}")
        for index, row in enumerate(rows(boxes, width)):
            lines.append(bar(row, first=index == 0))
            lines += beside(row)
    lines.append(DATAPATHS[lab.datapath] + f"; node to node: {lab.backend}")
    return "\n".join(line.rstrip() for line in lines)


def joined(values: Iterable[object]) -> str:
    """Return `values` as text."""
    return ", ".join(map(str, values))


def box(node: LabNode, lab: Topology, pods: Mapping[str, Sequence[IPAddress]]) -> list[str]:
    """Return the lines of one node's box, all equally long."""
    names = max((len(pod) for pod in node.pods), default=0)
    inside = [*map(str, node.addresses), f"pods {node.pod_cidrs[0]}", *(f"     {c}" for c in node.pod_cidrs[1:]), ""]
    if lab.datapath == "bridge":
        inside.append("bridge br0")
    for pod in node.pods:
        addresses = [str(a) for a in pods.get(f"{node.name}-{pod}", ())] or ["not attached"]
        for label, address in zip([pod, *[""] * len(addresses)], addresses, strict=False):
            inside.append(f"  {label.ljust(names)}  {address}")
    width = max(len(node.name) + 2, *map(len, inside)) + 2
    return [
        f"┌─ {node.name} {'─' * (width - len(node.name) - 3)}┐",
        *(f"│ {line.ljust(width - 1)}│" for line in inside),
        f"└{'─' * width}┘",
    ]


def rows(boxes: Sequence[list[str]], width: int) -> list[list[list[str]]]:
    """Return `boxes` in rows, as many in one as fit into `width`, at least one."""
    found: list[list[list[str]]] = []
    used = 0
    for each in boxes:
        if not found or used + GAP + len(each[0]) > width:
            found.append([])
            used = -GAP
        found[-1].append(each)
        used += GAP + len(each[0])
    return found


def bar(row: Sequence[list[str]], *, first: bool) -> str:
    """Return the LAN's line above a row of boxes, with a joint for each; the `first` one hangs on the router."""
    end = sum(len(each[0]) + GAP for each in row) - GAP
    line = ["─"] * end
    start = 0
    for each in row:
        line[start + len(each[0]) // 2] = "┬"
        start += len(each[0]) + GAP
    if first:
        line[TRUNK] = "┼" if line[TRUNK] == "┬" else "┴"
    return "".join(line)


def beside(row: Sequence[list[str]]) -> list[str]:
    """Return the boxes of a row next to each other, the shorter ones with room below."""
    height = max(map(len, row))
    return [
        (" " * GAP).join(each[at] if at < len(each) else " " * len(each[0]) for each in row) for at in range(height)
    ]
