"""A node with a pod and a firewall of somebody else's: what is asked of the kernel there, and what the diagnosis says.

`outside` is another node too: it has an address of that one's pods, and one of the world's.  Whether a packet was
dropped is told by counters before all rules and behind them, in a table `inet watch` that drops nothing.
"""

from ipaddress import ip_address, ip_network
from socket import socket

from podnet.diagnosis import Finding
from podnet.diagnosis.firewall import POD, Facts, Link, Port, Rulesets, findings
from podnet.diagnosis.firewall.ways import OUTSIDE
from podnet.doctor.rulesets import link, read
from podnet.kernel.namespace import entered
from podnet.testing.node import Node
from podnet.testing.waiting import eventually

PORT, VXLAN = 7777, 4789
TIMES = 3
PEER = {4: "10.99.0.1", 6: "fd99::1"}
OTHERS = {4: "10.244.2.0/24", 6: "fd00:10:244:2::/64"}
OTHER_POD = {4: "10.244.2.7", 6: "fd00:10:244:2::7"}
OWN: dict[int, str] = {4: "10.244.1.0/24", 6: "fd00:10:244:1::/64"}
NODE = {4: "10.99.0.11", 6: "fd99::11"}

WATCH = f"""
table inet watch {{
    counter before {{ }}
    counter behind {{ }}
    chain prerouting {{
        type filter hook prerouting priority -500
        udp dport {{ {PORT}, {VXLAN} }} counter name before
    }}
    chain output {{
        type filter hook output priority -500
        udp dport {{ {PORT}, {VXLAN} }} counter name before
    }}
    chain input {{
        type filter hook input priority 500
        udp dport {{ {PORT}, {VXLAN} }} counter name behind
    }}
    chain postrouting {{
        type filter hook postrouting priority 500
        udp dport {{ {PORT}, {VXLAN} }} counter name behind
    }}
}}
"""


class Walled:
    """A node with pod `red`, whose firewall is others'."""

    def __init__(self, node: Node, versions: tuple[int, ...] = (4,), datapath: str = "ptp") -> None:
        """Start podnet on `node`, with another node at `outside`, and attach the pod."""
        self.node = node
        self.versions = versions
        self.datapath = datapath
        addresses, cidrs = ([f'"{table[v]}"' for v in versions] for table in (PEER, OTHERS))
        peer = f"  - name: n2\n    addresses: [{', '.join(addresses)}]\n    pod-cidrs: [{', '.join(cidrs)}]\n"
        node.configure(datapath, versions, peers=peer)
        node.start()
        result = node.cni("ADD", node.pod("red"))
        self.pod: dict[int, str] = {ip_address(address).version: address for address in result.addresses}
        for version in versions:
            length, more = (32, []) if version == 4 else (128, ["nodad"])
            for address in (OTHER_POD[version], OUTSIDE[version]):
                node.run("ip", "addr", "add", f"{address}/{length}", "dev", "up1", *more, pod="outside")
            node.run("ip", "route", "add", OWN[version], "via", NODE[version], pod="outside")
        self.nft(WATCH)

    def nft(self, script: str) -> None:
        """Run an nft script on the node."""
        self.node.sh(f"nft -f - <<'E'\n{script}\nE")

    def rules(self, chain: str, hook: str, *rules: str) -> None:
        """Make a base chain (``inet mine forward``) at `hook` with these rules."""
        table = chain.rpartition(" ")[0]
        base = f"add chain {chain} {{ type filter hook {hook} priority 0; }}"
        self.nft("\n".join([f"add table {table}", base, *(f"add rule {chain} {rule}" for rule in rules)]))

    def facts(self, *ports: Port) -> Facts:
        """Return what the diagnosis is told of the node."""
        v = self.versions
        with entered(self.node.place(""), self.node._home):
            uplink = link("up0")
        return Facts(
            cidrs=tuple(ip_network(OWN[version]) for version in v),
            uplink=uplink,
            others=tuple(ip_network(OTHERS[version]) for version in v),
            addresses=tuple(ip_address(NODE[version]) for version in v),
            peers=tuple(ip_address(PEER[version]) for version in v),
            ports=ports,
            from_pods=Link("br0", kind="bridge") if self.datapath == "bridge" else POD,
        )

    def rulesets(self) -> Rulesets:
        """Return the rules of others here."""
        with entered(self.node.place(""), self.node._home):
            return read()

    def findings(self, *ports: Port) -> list[Finding]:
        """Return what the diagnosis finds."""
        return findings(self.rulesets(), self.facts(*ports))

    def passes(self, source: str, target: str, port: int = PORT) -> bool:
        """Tell whether the kernel lets datagrams pass, from a pod, the node, or another node's pod (`outside`).

        The last is waited for before all rules; what is counted there has by then been through the others' rules.
        """
        self.nft("reset counter inet watch before\nreset counter inet watch behind")
        version = 6 if ":" in target else 4
        any_address = ("0.0.0.0", "::")[version == 6]  # noqa: S104 - in a namespace
        speaker = OTHER_POD[version] if source == "outside" and port == PORT else any_address
        with self.node.udp(source, speaker) as sender:
            for _ in range(TIMES):
                self._send(sender, target, port)
        eventually(lambda: self.count("before") >= TIMES, "datagrams at this node")
        return self.count("behind") == TIMES

    def _send(self, sender: socket, target: str, port: int) -> None:
        """Send a datagram; once more where the error is one that answered the datagram before."""
        counted = self.count("before")
        try:
            sender.sendto(b"asked", (target, port))
        except PermissionError:
            pass  # dropped at the output hook, where it was counted
        except OSError:
            if self.count("before") == counted:
                sender.sendto(b"asked", (target, port))

    def count(self, name: str) -> int:
        """Return how many packets a counter of the table `watch` has counted."""
        listed = self.node.json("nft", "-j", "list", "counter", "inet", "watch", name)["nftables"]
        (counter,) = [entry["counter"] for entry in listed if "counter" in entry]
        return int(counter["packets"])

    def type(self, commands: str) -> None:
        """Type what a remedy says."""
        try:
            self.node.sh(commands)
        except RuntimeError as error:
            raise AssertionError(f"the remedy does not work: {error}") from error
