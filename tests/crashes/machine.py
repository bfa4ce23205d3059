"""A machine to go through sequences: a node with bystanders, other programs' things, a daemon that is often ended."""

import signal
import subprocess
import sys
from contextlib import ExitStack
from time import monotonic
from typing import Any

from podnet.testing.node import Node, Outcome, finish
from podnet.testing.waiting import PATIENCE, eventually
from tests.crashes.agreement import CONTAINER_PORT, HOST_LOCAL, Held, listed, require_all_equal
from tests.crashes.moments import Monitor
from tests.crashes.sequence import BANDWIDTH, Ask, Kind

CNI_PATH = "/usr/lib/cni"
HELD = "is locked by"
STRANGERS = """
ip link add veth-aaaaaaa type veth peer name veth-bbbbbbb
ip link set veth-aaaaaaa alias podnetlike addrgenmode none up
ip link set veth-bbbbbbb addrgenmode none up
ip link add grouped0 group 28782 type bridge
ip link set grouped0 addrgenmode none
ip addr add 10.123.0.1/24 dev veth-aaaaaaa
ip route add 10.124.0.0/16 via 10.123.0.2 protocol 111
nft add table ip podnet
nft add chain ip podnet prerouting '{ type filter hook prerouting priority 0 ; }'
nft add set ip podnet pods4 '{ type ipv4_addr ; elements = { 10.244.1.2 } ; }'
nft add table inet podnets
"""
NETWORKS: dict[Kind, dict[str, Any]] = {
    "podnet": {"cniVersion": "1.1.0"},
    "second": {
        "cniVersion": "1.1.0",
        "datapath": "bridge",
        "bridge": "br1",
        "ipam": {"type": "podnet", "ranges": [[{"subnet": "10.88.0.0/28"}]], "quarantine": 1},
    },
    "lent": {
        "cniVersion": "1.0.0",
        "datapath": "ptp",
        "ipam": {"type": "host-local", "dataDir": HOST_LOCAL, "ranges": [[{"subnet": "10.77.0.0/26"}]]},
    },
}
VIGILANCE = {True: "gc: {interval: 0.2, grace: 0.1}", False: "gc: {interval: 0}"}


def configuration(kind: Kind, ports: tuple[int, ...] = (), *, limited: bool = False) -> dict[str, Any]:
    """Return a network's configuration as a runtime hands it over."""
    mappings = [{"hostPort": port, "containerPort": CONTAINER_PORT, "protocol": "udp"} for port in ports]
    runtime = {**({"portMappings": mappings} if ports else {}), **({"bandwidth": BANDWIDTH} if limited else {})}
    return {"name": kind, "type": "podnet", **NETWORKS[kind], **({"runtimeConfig": runtime} if runtime else {})}


class Machine:
    """A node of one variant; `baseline` is what is listed of it while the bystanders alone are attached."""

    def __init__(self, stack: ExitStack, datapath: str, *, vigilant: bool) -> None:
        """Make it, with a daemon that serves; `stack` ends it."""
        self.datapath = datapath
        self.node = Node(stack)
        self.node.configure(datapath, (4, 6), VIGILANCE[vigilant])
        self.node.sh(STRANGERS)
        self.retries = 0
        self.start()
        eventually(self._has_local_routes, "every address has its route")
        self._before = listed(self.node)
        self.bystanders = [
            self.attach("red", "podnet"),
            self.attach("blue", "podnet", (9000,), limited=True),
            self.attach("green", "second"),
            self.attach("grey", "lent"),
        ]
        self.baseline = listed(self.node)
        self.monitor = Monitor(self.node)
        stack.callback(self.monitor.close)

    def _has_local_routes(self) -> bool:
        """Tell whether IPv6 addresses have their local routes: the kernel adds these after it has answered."""
        routes = {route["dst"] for route in self.node.json("ip", "-j", "-6", "route", "show", "table", "local")}
        links = self.node.json("ip", "-j", "-6", "addr", "show")
        return all(address["local"] in routes for link in links for address in link["addr_info"])

    def attach(self, name: str, kind: Kind, ports: tuple[int, ...] = (), *, limited: bool = False) -> Held:
        """Make a pod and attach it."""
        self.node.pod(name)
        outcome = self.cni("ADD", name, kind, configuration(kind, ports, limited=limited))
        assert outcome.status == 0, outcome.stdout
        return Held(name, kind, ports, limited, outcome.json)

    def close(self) -> None:
        """Delete the bystanders too, and require that the node is as it was before the first pod."""
        for one in self.bystanders:
            assert self.cni("DEL", one.container, one.kind).status == 0
        self.stop()
        self.start()
        require_all_equal(listed(self.node), self._before)

    def start(self) -> None:
        """Start the daemon and wait until it serves; where one-shots are at work it may give up: again, then."""
        deadline = monotonic() + PATIENCE
        while True:
            self.node.daemon = self.node.launch()
            try:
                self.node.daemon.wait_log("serving")
            except RuntimeError as error:
                if HELD not in str(error) or monotonic() > deadline:
                    raise
                self.node.daemon.end(0)
                self.retries += 1
            else:
                return

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the daemon, and require that it ends as it should and has not met what nobody foresaw."""
        status = self.node.stop(how)
        assert self.node.daemon is not None
        assert status == (0 if how == signal.SIGTERM else -how), self.node.daemon.log
        assert "Traceback" not in "\n".join(self.node.daemon.log), "\n".join(self.node.daemon.log)

    def begin(self, ask: Ask, container: str) -> "subprocess.Popen[bytes]":
        """Execute the plugin for `ask`, without waiting."""
        netns = None if ask.way == "no netns" else f"/run/netns/{container}"
        document = configuration(ask.kind, ask.ports, limited=ask.limited)
        return self.node.begin(ask.verb, container, configuration=document, CNI_PATH=CNI_PATH, CNI_NETNS=netns)

    def cni(self, verb: str, container: str, kind: Kind, document: dict[str, Any] | None = None) -> Outcome:
        """Execute the plugin to its end."""
        document = document or configuration(kind)
        return finish(self.node.begin(verb, container, configuration=document, CNI_PATH=CNI_PATH))

    def install(self) -> list[str]:
        """Make the installed shim an older one, and return the command that installs podnet again."""
        self.node.sh("cd /opt/cni/bin && cp -p podnet .older && printf x >>.older && mv .older podnet")
        return self.node.enter(sys.executable, "-I", "-m", "podnet.cli", "install", "--no-systemd")
