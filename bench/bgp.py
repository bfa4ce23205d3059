"""A node among thousands by BGP: what working out, writing and reading BIRD's configuration takes, and 5,000 routes.

    python -m bench.bgp [--nodes N] [--output FILE]

podnet's own parts (mesh, bird, routing) and a real BIRD in a network namespace; in another one a BIRD that tells the
routes of all nodes, as a reflector would.  Beside it `ip -batch` makes the same routes.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import click
import msgspec
from rich.console import Console

from bench import api, report
from bench.report import Table, number
from bench.scale import batch
from bench.suite import show
from podnet.bird import Configuration, render
from podnet.mesh.bgp import node_configuration
from podnet.model import BGP, Node, NodeFacts, Router
from podnet.routing import Control, Places, end
from podnet.routing.program import start
from podnet.testing.namespaces import NodeNamespace, make_namespace

Figures = dict[str, float]
LAN = IPv4Network("10.1.0.0/16")
REFLECTOR = ip_address("10.1.255.254")
CLUSTER = (ip_network("10.128.0.0/9"),)
ROLES = {"client of a reflector": "client", "reflector": "reflector", "mesh": "mesh"}
WITHIN = 120.0


def nodes_of(count: int) -> tuple[Node, ...]:
    """Return the nodes that the API server of `bench.api` has."""
    found = (api.node(i) for i in range(count))
    return tuple(
        Node(
            one["metadata"]["name"],
            (ip_address(one["status"]["addresses"][0]["address"]),),
            tuple(map(ip_network, one["spec"]["podCIDRs"])),
        )
        for one in found
    )


def settings_of(role: str) -> BGP:
    """Return how nodes speak BGP where the measured one has the `role`."""
    outside = Router(name="reflector", addresses=(REFLECTOR,), role="reflector")
    routers = (outside,) if role == "client" else ()
    return BGP(mode="mesh" if role == "mesh" else "reflectors", routers=routers)


def worked_out(nodes: Sequence[Node], role: str) -> Configuration:
    """Return what the first of `nodes` does."""
    own = msgspec.structs.replace(nodes[0], reflector=role == "reflector")
    facts = NodeFacts(name=own.name, boot_id="", uplink="up0", addresses=own.addresses, subnets=(LAN,))
    return node_configuration(own, (own, *nodes[1:]), facts, settings_of(role), CLUSTER)


def measure(role: str, count: int) -> Figures:
    """Return the figures of one role."""
    nodes = nodes_of(count)
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="podnet-bench-"))
        space = NodeNamespace(f"bgp-{uuid4().hex[:6]}", stack)
        space.sh(f"ip addr flush dev up0; ip addr add {nodes[0].addresses[0]}/16 dev up0")
        stack.enter_context(space.inside())
        far = stack.enter_context(telling(space, nodes, stack)) if role == "client" else None
        places = Places(f"{folder}/bird")
        Path(places.folder).mkdir()
        began = time.perf_counter()
        text = write(places, worked_out(nodes, role))
        rendered = time.perf_counter()
        descriptor = start(places)
        with Control(places.socket) as control:
            control.ask("show status")
            applied = time.perf_counter()
            stack.callback(end, places)
            figures = {"render": rendered - began, "apply": applied - rendered, "text": len(text) / (1 << 20)}
            if far is not None:
                figures["routes"] = await_routes(space, count - 1, applied)
                figures["batch"] = batch(count)
            figures |= change(control, places, nodes, role)
            figures["resident"] = resident(places)

        os.close(descriptor)
        return figures


def change(control: Control, places: Places, nodes: Sequence[Node], role: str) -> Figures:
    """Return what it takes that another node has another address, in ms: to write it, and to have it read."""
    moved = msgspec.structs.replace(nodes[1], addresses=(IPv4Address("10.1.254.1"),))
    began = time.perf_counter()
    write(places, worked_out((nodes[0], moved, *nodes[2:]), role))
    rendered = time.perf_counter()
    control.ask("configure")
    return {"change": 1000 * (rendered - began), "reread": 1000 * (time.perf_counter() - rendered)}


def write(places: Places, configuration: Configuration) -> str:
    """Write the configuration as text; return that."""
    text = render(configuration._replace(log=places.log))
    Path(places.configuration).write_text(text, encoding="utf-8")
    return text


@contextmanager
def telling(space: NodeNamespace, nodes: Sequence[Node], stack: ExitStack) -> Iterator[str]:
    """Have a BIRD at the other end of the uplink tell the routes of all nodes but the first."""
    folder = stack.enter_context(TemporaryDirectory(prefix="podnet-bench-"))
    name = f"{space.name}-far"
    make_namespace(name, stack)
    space.sh(f"ip link set far0 netns {name}")
    own = nodes[0].addresses[0]
    routes = "\n".join(f"  route {node.pod_cidrs[0]} via {node.addresses[0]};" for node in nodes[1:])
    text = (
        f"router id {REFLECTOR};\nprotocol device {{ }}\nprotocol direct {{ ipv4; }}\n"
        f"protocol static {{ ipv4;\n{routes}\n}}\n"
        f"protocol bgp node {{ local {REFLECTOR} as 64512; neighbor {own} as 64512; multihop; rr client;\n"
        "  hold time 30; connect delay time 1; graceful restart on;\n"
        "  ipv4 { gateway recursive; import none; export where source = RTS_STATIC; }; }\n"
    )
    Path(folder, "bird.conf").write_text(text, encoding="utf-8")
    enter = ("nsenter", f"--net=/run/netns/{name}")
    subprocess.run(
        [*enter, "sh", "-ec", f"ip link set lo up; ip link set far0 up; ip addr add {REFLECTOR}/16 dev far0"],
        check=True,
    )
    control = f"{folder}/bird.ctl"
    subprocess.run([*enter, "/usr/sbin/bird", "-c", f"{folder}/bird.conf", "-s", control], check=True)
    try:
        yield name
    finally:
        with Control(control) as connection:
            connection.ask("down")


def await_routes(space: NodeNamespace, count: int, began: float) -> float:
    """Return how many seconds after `began` the kernel has `count` routes of BIRD's."""
    while True:
        found = space.sh("ip -4 route show proto bird | wc -l")
        seconds = time.perf_counter() - began
        if int(found) >= count:
            return seconds
        if seconds > WITHIN:
            raise TimeoutError(f"{found.strip()} of {count} routes after {seconds:.0f} s")
        time.sleep(0.02)


def resident(places: Places) -> float:
    """Return what is resident of BIRD, in MiB."""
    pid = Path(places.pid).read_text(encoding="ascii").strip()
    lines = Path("/proc", pid, "status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def table(found: dict[str, Figures], count: int) -> Table:
    """Show it."""
    names = ("render", "apply", "routes", "batch", "change", "reread", "text", "resident")
    columns = (
        "",
        "rendered s",
        "BIRD has it s",
        "routes in the kernel s",
        "ip -batch s",
        "a change rendered ms",
        "read ms",
        "MB of text",
        "BIRD MiB",
    )
    rows = tuple((role, *(number(one[n]) if n in one else "" for n in names)) for role, one in found.items())
    note = (
        "Rendered: from the list of nodes to the file. BIRD has it: from there until BIRD, which is started with it, "
        "answers. Routes: from there until all are in the kernel, a second of it BIRD's wait before it connects; "
        "`ip -batch` makes the same. A change: another node's address, to the file, and until BIRD has read it."
    )
    return Table(f"BGP: one node among {count:,}", columns, rows, note)


@click.command()
@click.option("--nodes", default=5000, show_default=True, help="Of the cluster.")
@click.option("--output", type=click.Path(path_type=Path), help="A file for the table, as Markdown.")
def main(*, nodes: int, output: Path | None) -> None:
    """Measure, and print the table."""
    shown = table({role: measure(word, nodes) for role, word in ROLES.items()}, nodes)
    show(Console(), shown)
    if output is not None:
        output.write_text(report.markdown(shown))


if __name__ == "__main__":
    main(prog_name="python -m bench.bgp")
