"""Bad input through the real shim: the specification's code, a message that helps, exit status 1, nothing changed."""

import json
from typing import Any

import pytest

from podnet.testing.node import DEFAULT_CONFIGURATION, Node

pytestmark = pytest.mark.live


def with_keys(**keys: Any) -> dict[str, Any]:
    """Return the configuration with `keys` besides."""
    return {**DEFAULT_CONFIGURATION, **keys}


ONE_ADDRESS = {"subnet": "10.244.1.0/24", "rangeStart": "10.244.1.2", "rangeEnd": "10.244.1.2"}


def ranges(*entries: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of another network with these ranges in one set."""
    return with_keys(name="other", ipam={"type": "podnet", "ranges": [list(entries)]})


BAD: dict[str, tuple[int, str, dict[str, Any]]] = {
    "no namespace": (4, "/run/netns/", {"CNI_NETNS": "/run/netns/nowhere"}),
    "a namespace that is a folder": (4, "network namespace", {"CNI_NETNS": "/run"}),
    "a namespace that is a file": (4, "network namespace", {"CNI_NETNS": "/etc/podnet/podnet.yaml"}),
    "another kind of namespace": (4, "network namespace", {"CNI_NETNS": "/proc/self/ns/mnt"}),
    "missing container": (4, "CNI_CONTAINERID", {"CNI_CONTAINERID": None}),
    "missing namespace": (4, "CNI_NETNS", {"CNI_NETNS": None}),
    "missing interface": (4, "CNI_IFNAME", {"CNI_IFNAME": None}),
    "unknown verb": (4, "ADD", {"CNI_COMMAND": "ATTACH"}),
    "container with a slash": (4, "CNI_CONTAINERID", {"CNI_CONTAINERID": "../etc/passwd"}),
    "interface name too long": (4, "CNI_IFNAME", {"CNI_IFNAME": "a-name-of-sixteen"}),
    "arguments that are none": (4, "KEY=VALUE", {"CNI_ARGS": "IP"}),
    "newer version": (1, "1.1.0", {"configuration": with_keys(cniVersion="9.9.9")}),
    "no JSON": (6, "", {"configuration": b'{"cniVersion": "1.0.0", "name"'}),
    "not an object": (7, "object", {"configuration": b"[]"}),
    "unknown key": (2, "masquerade", {"configuration": with_keys(masqerade=True)}),
    "unknown ipam key": (2, "subnet", {"configuration": with_keys(ipam={"type": "podnet", "subnett": "10.1.0.0/24"})}),
    "bad datapath": (2, "ptp", {"configuration": with_keys(datapath="vlan")}),
    "bad subnet": (7, "10.1.0.1/24", {"configuration": ranges({"subnet": "10.1.0.1/24"})}),
    "pool exhausted": (
        110,
        "10.244.1.2",
        {"configuration": with_keys(ipam={"type": "podnet", "ranges": [[ONE_ADDRESS]]})},
    ),
    "address of another pod": (110, "bystander", {"CNI_ARGS": "IP=10.244.1.2"}),
    "address of no range": (110, "10.9.9.9", {"CNI_ARGS": "IP=10.9.9.9"}),
    "interface exists": (111, "eth0", {"netns": "bystander"}),
    "attached already": (111, "DEL", {"CNI_CONTAINERID": "bystander", "netns": "bystander"}),
    "more than 1 MiB": (6, "1 MiB", {"configuration": json.dumps(with_keys(dns={"domain": "x" * (1 << 20)})).encode()}),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_changes_nothing(settled: Node, case: str) -> None:
    """ADD answers the code and says what is wrong; links, rules, the pods and the leases are what they were."""
    code, told, more = BAD[case]
    if "netns" not in more and "CNI_NETNS" not in more and "red" not in settled.run("ls", "/run/netns").split():
        settled.pod("red")
    settled_state = settled.state(), settled.state("bystander"), settled.leases()
    answer = settled.cni("ADD", "red", **more)
    assert answer.status == 1, answer.stdout
    error = answer.json
    assert (error["code"], told in error["msg"]) == (code, True), error
    assert set(error) <= {"cniVersion", "code", "msg", "details"}
    settled.wait_for_links(1)
    assert (settled.state(), settled.state("bystander"), settled.leases()) == settled_state


def test_the_longest_configuration_that_is_taken_is_served(settled: Node) -> None:
    """A configuration of just 1 MiB is no error: it is answered, and undone by a DEL of the same size."""
    name = settled.pod("long")
    document = json.dumps(with_keys(dns={"domain": ""})).encode()
    document = document[:-3] + b"x" * ((1 << 20) - len(document)) + document[-3:]
    assert len(document) == 1 << 20
    answer = settled.cni("ADD", name, configuration=document)
    assert answer.status == 0, answer.stdout[:300]
    assert len(answer.json["dns"]["domain"]) > 1_000_000
    assert settled.cni("DEL", name, configuration=document) == (0, b"")
    settled.wait_for_links(1)
    settled.forget_place(name)


def test_a_dels_configuration_may_have_become_bad(settled: Node) -> None:
    """A pod is deleted all the same where the configuration became bad since ADD."""
    for number, configuration in enumerate((with_keys(masqerade=True), with_keys(cniVersion="9.9.9"))):
        name = f"gone{number}"
        settled.attach(name)
        assert settled.cni("DEL", name, configuration=configuration) == (0, b"")
        settled.wait_for_links(1)
        settled.forget_place(name)
