"""kube-proxy's mark 0x4000: what it asks to be masqueraded is, once, by its own rule; podnet leaves the mark alone."""

from collections.abc import Callable
from typing import Any

import pytest

from podnet.testing.node import ADDRESSES, Node

pytestmark = pytest.mark.live

OUTSIDE = {4: "10.99.0.1", 6: "fd99::1"}
KEPT = {4: "10.99.0.200", 6: "fd99::200"}
CIDRS = {4: "10.244.1.0/24", 6: "fd00:10:244:1::/64"}
MARK = 0x4000

# As kube-proxy has it in either mode (KUBE-POSTROUTING): what bears the mark loses it and is masqueraded.  `seen`
# counts, after both, what still bears a mark; `meant` sets the mark, as KUBE-MARK-MASQ does.
RULES = """
table inet kube {{
    chain meant {{
        type filter hook prerouting priority -150
        udp dport 4001 meta mark set meta mark or {mark}
    }}
    chain postrouting {{
        type nat hook postrouting priority {priority}
        meta mark & {mark} != {mark} return
        meta mark set meta mark xor {mark}
        counter masquerade fully-random comment "asked for"
    }}
    chain seen {{
        type filter hook postrouting priority 300
        udp dport {{ 4001, 4002 }} meta mark != 0 counter comment "left"
    }}
}}
"""


def counted(node: Node, comment: str) -> int:
    """Return how many packets came to the rule with that comment."""
    listed: list[dict[str, Any]] = node.json("nft", "-j", "list", "table", "inet", "kube")["nftables"]
    (rule,) = [o["rule"] for o in listed if o.get("rule", {}).get("comment") == comment]
    return sum(part["counter"]["packets"] for part in rule["expr"] if "counter" in part)


@pytest.mark.parametrize("priority", [90, 110], ids=["before podnet's", "after podnet's"])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_what_bears_the_mark_is_masqueraded_by_whoever_asked(
    serving: Callable[..., Node], datapath: str, version: int, priority: int
) -> None:
    """Towards a destination that podnet leaves alone too, and once alone; what does not bear it keeps its source."""
    kept = KEPT[version]
    length = 32 if version == 4 else 128
    node = serving(datapath, (version,), more=f'non-masquerade-cidrs: ["{kept}/{length}"]')
    red = node.attach("red")
    node.run("ip", "addr", "add", f"{kept}/{length}", "dev", "up1", *["nodad"][: version // 6], pod="outside")
    node.run("ip", f"-{version}", "route", "add", CIDRS[version], "via", ADDRESSES[version], pod="outside")
    rules = RULES.format(mark=MARK, priority=priority)
    node.run("sh", "-ec", f"nft -f - <<'E'\n{rules}\nE")
    sender = node.udp("red", red)
    for number, address, source, asked in (
        (4001, kept, ADDRESSES[version], 1),
        (4002, kept, red, 1),
        (4002, OUTSIDE[version], ADDRESSES[version], 1),
    ):
        with node.udp("outside", address, number) as receiver:
            sender.sendto(b"question", (address, number))
            data, seen = receiver.recvfrom(64)
            assert (data, seen[0]) == (b"question", source)
            receiver.sendto(b"answer", seen)
            assert sender.recv(64) == b"answer"
        assert counted(node, "asked for") == asked
    assert counted(node, "left") == 0
