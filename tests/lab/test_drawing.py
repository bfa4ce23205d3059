"""The drawing: every name and address is on it, its lines are straight and as narrow as asked."""

from ipaddress import ip_address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.lab.drawing import draw
from podnet.lab.topology import BACKENDS, IPAddress, Topology, topology


def addresses(lab: Topology) -> dict[str, tuple[IPAddress, ...]]:
    """Return addresses for every pod."""
    return {
        f"{n.name}-{p}": tuple(ip_address(int(c.network_address) + 2 + i) for c in n.pod_cidrs)
        for n in lab.nodes
        for i, p in enumerate(n.pods)
    }


labs = st.builds(
    topology,
    nodes=st.integers(1, 9),
    pods=st.integers(0, 4),
    datapath=st.sampled_from(["ptp", "bridge"]),
    families=st.sampled_from([(4,), (6,), (4, 6)]),
    backend=st.sampled_from(BACKENDS),
)


@given(labs, st.integers(60, 200))
def test_everything_is_on_it_and_nothing_sticks_out(lab: Topology, width: int) -> None:
    """All nodes, pods and addresses appear; boxes close; no box line is wider than asked; joints meet their boxes."""
    given_ = addresses(lab)
    text = draw(lab, given_, width)
    for node in lab.nodes:
        assert f"┌─ {node.name} " in text
        assert all(f" {a} " in text for a in node.addresses)
        assert all(f"{c} " in text for c in node.pod_cidrs)
    assert all(f" {a} " in text for held in given_.values() for a in held)
    assert text.count("┌") == text.count("┐") == text.count("└") == text.count("┘") == len(lab.nodes)
    assert all(str(lan[f]) in text for lan in lab.lans for f in lab.families)
    lines = text.splitlines()
    assert all(len(line) <= width for line in lines if set(line) & set("│┌└┬") and "MTU" not in line)
    for above, below in pairwise(lines):
        if below.startswith("┌"):
            joints = [i for i, c in enumerate(above) if c in "┬┼"]
            corners = [(i, below.index("┐", i)) for i, c in enumerate(below) if c == "┌"]
            assert len(joints) == len(corners)
            assert all(left < joint < right for joint, (left, right) in zip(joints, corners, strict=True))
    assert lines == [line.rstrip() for line in lines]


@pytest.mark.parametrize(("datapath", "word"), [("ptp", "routed by its node"), ("bridge", "bridge br0")])
def test_the_datapath_is_said(datapath: str, word: str) -> None:
    """The drawing tells how pods are joined to their node."""
    lab = topology(datapath=datapath)  # type: ignore[arg-type] # one of the two
    assert word in draw(lab, addresses(lab))


def test_a_pod_without_an_address_is_shown_as_such() -> None:
    """A pod that was never attached is drawn, and said to be so."""
    assert "red  not attached" in draw(topology(nodes=1, pods=1), {})
