"""A kernel that lacks what podnet takes: made so for the doctor's process by seccomp(2), or as it is."""

import sys
from collections.abc import Callable

import pytest

from podnet.kernel.wireguard import family
from podnet.testing.node import Node
from tests.doctor.conftest import PEER, ask

pytestmark = pytest.mark.live

# A classic BPF program (linux/seccomp.h): socket(2) of netlink's family and protocol 12, NETLINK_NETFILTER, is refused
# with EPROTONOSUPPORT, as by a kernel without nfnetlink; all else is let through.
WITHOUT_NETFILTER = """
import ctypes, os, platform, struct, sys
number = {"x86_64": 41, "aarch64": 198}[platform.machine()]
program = b"".join(struct.pack("=HBBI", *each) for each in [
    (0x20, 0, 0, 0), (0x15, 0, 5, number),
    (0x20, 0, 0, 16), (0x15, 0, 3, 16),
    (0x20, 0, 0, 32), (0x15, 0, 1, 12),
    (0x06, 0, 0, 0x00050000 | 93), (0x06, 0, 0, 0x7FFF0000),
])
held = ctypes.create_string_buffer(program, len(program))
filter = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(held))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.create_string_buffer(filter, len(filter)), 0, 0) == 0, ctypes.get_errno()
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_a_kernel_without_nftables(serving: Callable[..., Node]) -> None:
    """Said with the options of the kernel that it takes."""
    node = serving()
    (found,) = ask(node, sys.executable, "-c", WITHOUT_NETFILTER).of("features")
    assert found["severity"] == "broken"
    assert "refuses what nftables takes" in found["what"]
    assert "CONFIG_NF_TABLES" in found["remedy"]


def test_neither_wireguard_nor_a_program_that_speaks_it(bare: Node) -> None:
    """With that backend the daemon does not start; with the program on PATH nothing is found."""
    if family():
        pytest.skip("the kernel has WireGuard (CONFIG_WIREGUARD)")
    bare.configure(more="backend: wireguard", peers=PEER)
    (found,) = ask(bare, "env", "PATH=/nowhere").of("features")
    assert found["severity"] == "broken"
    assert "apt install wireguard-go" in found["remedy"]
    assert ask(bare).of("features") == []


def test_a_kernel_that_allows_no_network_to_try_in(serving: Callable[..., Node]) -> None:
    """Told as what could not be seen."""
    node = serving()
    told = ask(node, "setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    assert [(finding["check"], finding["severity"]) for finding in told.findings] == [("features", "note")]
    assert "CAP_SYS_ADMIN" in told.findings[0]["remedy"]
