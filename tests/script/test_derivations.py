"""Names and hardware addresses derived in shell are those that the engine derives."""

import subprocess
from collections.abc import Sequence
from importlib.resources import files
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.datapath.hardware import link_local, mac_of, port_mac
from podnet.model import Attachment, link_name

SHELLS = pytest.mark.parametrize("shell", ["dash", "bash"])
FEW = settings(max_examples=10, deadline=None)  # each example starts a shell; it holds many values

containers = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,150}", fullmatch=True)
ipv6 = st.integers(0, 2**128 - 1).map(IPv6Address)


def run(shell: str, lines: Sequence[str], suffix: str = "") -> list[str]:
    """Run `lines` after the functions of the script's frame; return the lines they print."""
    functions = files("podnet.script").joinpath("net-script.sh").read_text().split("# ---- what the engine")[0]
    for name, value in (("network", "net-1"), ("database", "/nowhere"), ("suffix", suffix)):
        functions = functions.replace(f"@{name}@", value)
    text = "\n".join((functions, *lines))
    done = subprocess.run([shell], input=text, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


@SHELLS
@FEW
@given(st.lists(st.tuples(containers, st.integers(0, 9)), min_size=1, max_size=10), st.sampled_from(["", "-br"]))
def test_link_names(shell: str, cases: list[tuple[str, int]], suffix: str) -> None:
    """The BLAKE2s in shell names links as `model.link_name` does, for ids of one block and of several."""
    lines = [f"container={container}; name_link {attempt}; echo $link" for container, attempt in cases]
    wanted = [link_name(Attachment("net-1", container, "eth0"), suffix, attempt) for container, attempt in cases]
    assert run(shell, lines, suffix) == wanted


@SHELLS
@FEW
@given(st.lists(st.integers(0, 2**32 - 1).map(IPv4Address) | ipv6, min_size=1, max_size=20))
def test_mac_addresses(shell: str, addresses: list[IPv4Address | IPv6Address]) -> None:
    """A pod's MAC and link-local address follow from its address as in `datapath.hardware`."""
    lines = []
    for address in addresses:
        spelled = str(address)
        if isinstance(address, IPv6Address):  # as the script spells it: every group, nothing left out
            spelled = ":".join(f"{int(group, 16):x}" for group in address.exploded.split(":"))
        lines.append(f'mac=$(mac_of {spelled}); echo "$mac"; echo "$(link_local_of "$mac")"')
    wanted = [text for a in addresses for text in (mac_of(a), link_local(mac_of(a)))]
    told = run(shell, lines)
    assert told[::2] == wanted[::2]
    assert [IPv6Address(text) for text in told[1::2]] == wanted[1::2]


@SHELLS
@FEW
@given(st.lists(st.from_regex(r"veth-[a-z2-7]{7}-br", fullmatch=True), min_size=1, max_size=20))
def test_port_macs(shell: str, links: list[str]) -> None:
    """A bridge port's MAC follows from its name."""
    assert run(shell, [f"port_mac_of {link}; echo" for link in links]) == [port_mac(link) for link in links]


@SHELLS
@FEW
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20), ipv6)
def test_addresses(shell: str, numbers: list[int], base: IPv6Address) -> None:
    """A number is spelled as the address it is, in both families."""
    kind = ":".join(f"{int(group, 16):x}" for group in base.exploded.split(":")[:6])
    upper = int(base) >> 32 << 32
    told = run(shell, [f"spell 4 {n}; echo $taken; spell {kind} {n}; echo $taken" for n in numbers])
    assert told[::2] == [str(IPv4Address(n)) for n in numbers]
    assert [IPv6Address(text) for text in told[1::2]] == [IPv6Address(upper + n) for n in numbers]
