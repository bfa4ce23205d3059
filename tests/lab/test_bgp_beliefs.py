"""Who is believed by BGP: neighbours with the password, of their own prefixes; and what is told besides prefixes."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from podnet.testing.waiting import eventually
from tests.lab.bgp import (
    CLOCK,
    CONF,
    CONTROL,
    NODES,
    bird,
    established,
    moment,
    pid,
    restart,
    sessions,
    set_podnet_yaml,
    since,
    up,
    wait,
)
from tests.lab.captured import captured

if TYPE_CHECKING:
    from tests.lab.conftest import Machine

pytestmark = pytest.mark.live

ELSEWHERE = """{"cniVersion": "1.0.0", "name": "elsewhere", "type": "podnet",
 "ipam": {"type": "podnet", "ranges": [[{"subnet": "10.244.200.0/24"}]]}}"""
HEARD = f"birdc -s {CONTROL} \"show route import table 'podnet.{{}}.4'.ipv4\""
"""What a neighbour has told, before anything of it is refused."""
HOST = """router id {address};
timeformat protocol iso long ms;
protocol device {{ }}
protocol direct {{ ipv4; interface "eth0"; }}
protocol kernel {{ learn; metric 179; ipv4 {{
  import where ! (net ~ [ 10.244.0.0/16+ ]); export where source = RTS_BGP;
}}; }}
include "/run/host/podnet.conf";
"""


@contextmanager
def segments(machine: "Machine") -> Iterator[list[str]]:
    """Collect what TCP segments of BGP leave the lab's nodes during the block, as tcpdump prints them."""
    file, lines = "/run/bgp.pcap", list[str]()
    with captured(machine, file, "tcp port 179"):
        yield lines
    lines += machine.run("tcpdump", "-n", "-v", "-r", file).stdout.splitlines()


def forwarding(machine: "Machine", *places: str) -> dict[str, str]:
    """Return the IPv4 routes of nodes or the router."""
    return {where: machine.on(where, "ip route show") for where in places}


def misconfigure(machine: "Machine", where: str, *edits: str, more: str = "") -> None:
    """Change the configuration of a BIRD behind podnet's back, by edits of sed(1) and a text at its end."""
    script = " ".join(f"-e {shlex.quote(edit)}" for edit in edits)
    machine.on(where, f"sed -i {script} {CONF}; printf %s {shlex.quote(more)} >>{CONF}")
    assert "Reconfigur" in bird(machine, where, "configure")


def test_a_neighbour_without_the_password_is_not_spoken_to(machine: "Machine") -> None:
    """With a password all segments between nodes are signed (TCP MD5, option 19); a node that has none gets no session.

    The others' sessions stand, and its own come back with the password.
    """
    up(machine, nodes=4)
    machine.run("sh", "-c", "echo correct horse >/run/podnet-lab/lab/etc-podnet/password")
    set_podnet_yaml(machine, "  mode:", "  password-file: password\n  mode:")
    before = {node: since(machine, node) for node in NODES[:4]}
    with segments(machine) as seen:
        restart(machine, *NODES[:4])
        for node, neighbour in (("n1", "n2"), ("n3", "n1"), ("n3", "n2"), ("n4", "n1"), ("n4", "n2")):
            renewed(machine, node, f"{neighbour} ipv4", before)
    pairs = (("n1", "n2"), ("n1", "n3"), ("n1", "n4"), ("n2", "n3"), ("n2", "n4"))
    assert {*pairs, *(pair[::-1] for pair in pairs)} <= speakers(seen, signed=True)
    with segments(machine) as seen:
        misconfigure(machine, "n3", "s/ password [^;]*;//")
        wait(machine, "n3", f"! {established('n1')}")
        wait(machine, "n1", f"! {established('n3')}")
        wait(machine, "n3", f"birdc -s {CONTROL} show protocols | grep podnet.n1.4 | grep -q Connect")  # in vain
    assert {source for source, _ in speakers(seen, signed=False)} == {"n3"}
    assert {("n1", "n2"), ("n2", "n1"), ("n1", "n4"), ("n4", "n2")} <= speakers(seen, signed=True)
    known = sessions(machine, "n1")
    assert known["n2 ipv4"]["state"] == known["n4 ipv4"]["state"] == "Established"
    restart(machine, "n3")
    wait(machine, "n3", established("n1"))
    assert machine.wrong() == []


def renewed(machine: "Machine", where: str, session: str, before: dict[str, dict[str, float]]) -> None:
    """Wait until a session stands that is not the one of before."""

    def again() -> bool:
        one = sessions(machine, where)[session]
        return bool(one["state"] == "Established" and moment(one) > before[where][session] + CLOCK)

    eventually(again, f"the session of {where} with {session} does not come back")


def speakers(lines: list[str], *, signed: bool) -> set[tuple[str, str]]:
    """Return which nodes sent which others segments that are, or are not, signed; resets have no signature to make."""
    pattern = re.compile(r"10\.99\.\d\.1(\d)\.\d+ > 10\.99\.\d\.1(\d)\.\d+: Flags \[[^]R]*\], (.*)")
    found = (pattern.search(line) for line in lines)
    return {(f"n{one[1]}", f"n{one[2]}") for one in found if one and ("md5" in one[3]) == signed}


@pytest.mark.parametrize("liar", ["n3", "n1"], ids=["a-node", "a-reflector"])
def test_what_is_another_nodes_is_not_believed_of_a_neighbour(machine: "Machine", liar: str) -> None:
    """A default route, another's prefix, part of it, one pod of it, one outside of the cluster: nobody's routes change.

    Its neighbours have heard all of it, so that it could have been believed.
    """
    up(machine)
    others = [*(node for node in NODES if node != liar), "router"]
    before = forwarding(machine, *others)
    lies = ("0.0.0.0/0", "10.244.4.0/24", "10.244.2.0/25", "10.244.5.2/32", "10.99.1.12/32", "192.0.2.0/24")
    routes = " ".join(f"route {prefix} via 10.99.0.1;" for prefix in lies)
    edits = (
        "/import table on/s/export [^;]*;/export all; next hop self;/",
        "/^protocol bgp/s/export [^;]*;/export all;/",
    )
    misconfigure(machine, liar, *edits, more=f"protocol static lies {{ ipv4 {{ preference 300; }}; {routes} }}\n")
    listener = "n5" if liar == "n1" else "n1"
    for prefix in lies:
        wait(machine, listener, f"{HEARD.format(liar)} | grep -q '^{prefix} '")
    assert forwarding(machine, *others) == before


def test_a_pods_address_outside_of_its_nodes_prefix_is_told_by_itself(machine: "Machine") -> None:
    """A pod with a range of its own in the cluster's: others have a route to that address until it goes."""
    up(machine)
    machine.run("ip", "netns", "add", "stray")
    try:
        machine.on("n3", f"cat >/run/elsewhere.json <<'E'\n{ELSEWHERE}\nE")
        call = "CNI_CONTAINERID=stray CNI_NETNS=/run/netns/stray CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin"
        machine.on("n3", f"CNI_COMMAND=ADD {call} /opt/cni/bin/podnet </run/elsewhere.json")
        for where in ("n1", "n4", "n5", "router"):
            wait(machine, where, "ip route show proto bird | grep -q '^10.244.200.2 '")
        assert "1 received" in machine.on("n5-red", "ping -c 1 -W 2 10.244.200.2")
        machine.on("n3", f"CNI_COMMAND=DEL {call} /opt/cni/bin/podnet </run/elsewhere.json")
        for where in ("n1", "n4", "n5", "router"):
            wait(machine, where, "! ip route show proto bird | grep -q '^10.244.200.2 '")
    finally:
        machine.run("ip", "netns", "del", "stray")


def test_a_host_that_runs_bird_itself_includes_podnets_part(machine: "Machine") -> None:
    """The host's configuration includes podnet's file, which is read anew, and podnet starts no BIRD of its own."""
    up(machine, nodes=3)
    for number, node in enumerate(NODES[:3], 1):
        address = f"10.99.{(number - 1) % 2}.{10 + number}"
        machine.on(node, "mkdir -p /run/host; touch /run/host/podnet.conf")
        machine.on(node, f"cat >/run/host/bird.conf <<'E'\n{HOST.format(address=address)}E")
    set_podnet_yaml(machine, "  mode:", "  socket: /run/host/bird.ctl\n  include: /run/host/podnet.conf\n  mode:")
    before = [pid(machine, node) for node in NODES[:3]]
    for node in NODES[:3]:
        machine.on(node, "bird -c /run/host/bird.conf -s /run/host/bird.ctl -P /run/host/bird.pid")
        restart(machine, node)
    for node in NODES[:3]:
        wait(machine, node, "test $(ip route show proto bird | wc -l) = 2")
        assert machine.on(node, "ls /run/podnet/bird 2>/dev/null || true") in {"", "flaps.json\n"}
    assert len(set(before)) == 3
    assert {one["state"] for one in sessions(machine, "n3").values()} == {"Established"}
