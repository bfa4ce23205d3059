"""net-script.sh run on a node: pods reach each other, the gateway and the outside, and del leaves nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podnet.testing.waiting import equal_soon

pytestmark = pytest.mark.live

NewNode = Callable[..., Any]  # tests/script/conftest.py, Sandbox
PODS = ("red", "blue", "green")
FORMS = pytest.mark.parametrize("form", [(), ("--iptables",)], ids=["nft", "iptables"])
DATAPATHS = pytest.mark.parametrize("datapath", ["ptp", "bridge"])
SHELLS = pytest.mark.parametrize("shell", ["dash", "bash"])


def pings(node: Any, pod: str, address: str) -> bool:
    """Tell whether `pod` reaches `address`; the deadline is ping's own."""
    return not node.run("ping", "-n", "-c1", "-w5", address, pod=pod).returncode


@FORMS
@DATAPATHS
def test_every_pod_reaches_every_pod_the_gateway_and_the_outside(
    new_node: NewNode, datapath: str, form: tuple[str, ...]
) -> None:
    """The matrix is green in both families, and the outside sees the node's address instead of the pod's."""
    node = new_node(*PODS)
    script = node.script(*form, config=node.settings(datapath, "46"))
    given = node.add(script, *PODS)
    everyone = [address for addresses in given.values() for address in addresses]
    gateways = ["10.99.0.11", "fd99::11"] + (["10.244.1.1", "fd00:10:244:1::1"] if datapath == "bridge" else [])
    # `outside` has no route to pods: an answer means that the source was the node's
    for pod in PODS:
        for address in (*everyone, *gateways, "10.99.0.1", "fd99::1"):
            assert pings(node, pod, address), (pod, address)


@FORMS
@DATAPATHS
def test_del_leaves_nothing(new_node: NewNode, datapath: str, form: tuple[str, ...]) -> None:
    """After the last del, links, addresses, routes, neighbours and rules are as before the first of these adds."""
    node = new_node(*PODS)
    script = node.script(*form, config=node.settings(datapath, "46"))
    node.add(script, "red")
    assert node.run("sh", script, "del", "c-red", "red").returncode == 0  # the node's part stays
    carrier = ("NO-CARRIER" if datapath == "bridge" else "",)
    equal_soon(lambda: tuple(word for word in carrier if word in node.run("ip", "link").stdout), lambda: carrier)
    before = node.state(), node.ruleset()
    node.add(script, *PODS)
    assert (node.state(), node.ruleset()) != before
    for pod in PODS:
        result = node.run("sh", script, "del", f"c-{pod}")
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert node.ruleset() == before[1]
    equal_soon(node.state, lambda: before[0])
    left = node.run("find", "/var/lib/podnet-script/podnet/addresses", "/var/lib/podnet-script/podnet/containers")
    assert len(left.stdout.split()) == 2


def test_a_pod_may_not_send_with_anothers_address(new_node: NewNode) -> None:
    """The iptables form drops what does not come from the pod's own address, as the nft form's sets do."""
    for form in ((), ("--iptables",)):
        node = new_node(*PODS)
        script = node.script(*form, config=node.settings("ptp", "4"))
        given = node.add(script, "red", "blue")
        assert node.run("ip", "addr", "add", "10.244.1.77/32", "dev", "eth0", pod="red").returncode == 0
        assert pings(node, "red", given["blue"][0])
        spoofed = node.run("ping", "-n", "-c1", "-W1", "-I", "10.244.1.77", given["blue"][0], pod="red")
        assert spoofed.returncode == 1


@SHELLS
def test_a_pool_that_is_exhausted_says_so_and_serves_again(new_node: NewNode, shell: str) -> None:
    """A /29 has five pods' addresses; the sixth add fails and leaves nothing; a del makes room."""
    pods = tuple(f"p{number}" for number in range(6))
    node = new_node(*pods)
    script = node.script(config=node.settings("ptp", "4", "10.244.1.0/29"))
    given = node.add(script, *pods[:5], shell=shell)
    assert [given[pod] for pod in pods[:5]] == [[f"10.244.1.{number}"] for number in range(2, 7)]
    before = node.state(), node.ruleset()
    result = node.run(shell, script, "add", "c-p5", "p5")
    assert result.returncode == 1
    assert "no address of 10.244.1.0/29 is free: delete a pod" in result.stderr
    assert (node.state(), node.ruleset()) == before
    assert node.run(shell, script, "del", "c-p2").returncode == 0
    assert node.add(script, "p5", shell=shell) == {"p5": ["10.244.1.4"]}


def test_a_released_address_rests_while_others_are_free(new_node: NewNode) -> None:
    """The next add gets the next address, not the one just released."""
    node = new_node("red", "blue")
    script = node.script(config=node.settings("ptp", "4"))
    assert node.add(script, "red") == {"red": ["10.244.1.2"]}
    assert node.run("sh", script, "del", "c-red").returncode == 0
    assert node.add(script, "blue") == {"blue": ["10.244.1.3"]}


@DATAPATHS
def test_adds_at_the_same_time_take_distinct_addresses(new_node: NewNode, datapath: str) -> None:
    """Eight adds begun together on a node without its part all succeed, with eight addresses of each family."""
    pods = tuple(f"p{number}" for number in range(8))
    node = new_node(*pods)
    script = node.script(config=node.settings(datapath, "46"))
    running = [node.start("sh", script, "add", f"c-{pod}", pod) for pod in pods]
    told = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0] * 8, told
    assert len({output.split()[1] for output, _ in told}) == 8
    assert len({output.split()[2] for output, _ in told}) == 8
    assert all(pings(node, "p0", output.split()[1]) for output, _ in told)


def test_a_failed_add_is_undone(new_node: NewNode) -> None:
    """A command that the kernel refuses half way: link, elements and addresses go, what was there before stays."""
    node = new_node("red")
    script = node.script(config=node.settings("ptp", "46"))
    node.add(script, "red")
    assert node.run("sh", script, "del", "c-red").returncode == 0
    assert node.run("ip", "route", "add", "10.244.1.3/32", "dev", "up0", "proto", "112").returncode == 0
    before = node.state(), node.ruleset()
    result = node.run("sh", script, "add", "c-red", "red")
    assert result.returncode != 0
    assert "File exists" in result.stderr
    assert (node.state(), node.ruleset()) == before
    assert "eth0" not in node.run("ip", "link", pod="red").stdout
    assert node.run("ls", "/var/lib/podnet-script/podnet/containers").stdout == ""
    assert node.run("ls", "/var/lib/podnet-script/podnet/addresses").stdout == ""


def test_a_process_namespace_is_taken_by_its_path(new_node: NewNode) -> None:
    """/proc/PID/ns/net serves as well as a name, and del needs no namespace at all."""
    node = new_node("red", "blue")
    script = node.script(config=node.settings("ptp", "4"))
    sleeper = node.start("ip", "netns", "exec", "red", "sh", "-c", "echo $$; exec sleep infinity")
    try:
        pid = sleeper.stdout.readline().strip()
        result = node.run("sh", script, "add", "c-red", f"/proc/{pid}/ns/net")
        assert result.returncode == 0, result.stderr
        given = node.add(script, "blue")
        assert pings(node, "red", given["blue"][0])
    finally:
        sleeper.kill()
        sleeper.communicate()
    assert node.run("sh", script, "del", "c-red").returncode == 0
    assert not pings(node, "blue", "10.244.1.2")


def test_wrong_use_is_refused_with_the_remedy(new_node: NewNode) -> None:
    """Each misuse has a message of its own, status 1 or 2, and touches nothing."""
    node = new_node("red", "blue")
    script = node.script(config=node.settings("ptp", "4"))
    node.add(script, "red")
    before = node.state(), node.ruleset()
    cases = [
        (("add", "c-red", "blue"), 1, "c-red has been added already: `net-script.sh del c-red` first"),
        (("add", "c-2", "red"), 1, "/run/netns/red has a link eth0 already"),
        (("add", "c-2", "absent"), 1, "namespace /run/netns/absent does not exist"),
        (("add", "c-2", "/etc/passwd"), 1, "/etc/passwd is no network namespace"),
        (("add", "c-2", "/proc/self/ns/net"), 1, "/proc/self/ns/net is this node's own namespace"),
        (("add", "../x", "blue"), 1, "container '../x'"),
        (("add", "-x", "blue"), 1, "container '-x'"),
        (("add", "", "blue"), 1, "container ''"),
        (("add", "c-2"), 2, "usage: net-script.sh add CONTAINER NAMESPACE"),
        (("del",), 2, "usage:"),
        (("frob", "c-2", "blue"), 2, "usage:"),
        (("del", "never-added", "gone"), 0, ""),
    ]
    for words, status, message in cases:
        result = node.run("sh", script, *words)
        assert (result.returncode, message in result.stderr) == (status, True), (words, result.stderr)
    assert (node.state(), node.ruleset()) == before


def test_the_second_range_of_a_set_serves_when_the_first_is_full(new_node: NewNode, tmp_path: Path) -> None:
    """Each range has its own gateway and prefix length, and a pod of the second reaches one of the first."""
    node = new_node(*PODS)
    conf = tmp_path / "two.conf"
    conf.write_text(
        '{"cniVersion": "1.0.0", "name": "two", "type": "podnet", "datapath": "bridge", "ipam": {"type": "podnet",'
        '"ranges": [[{"subnet": "10.1.0.0/30"}, {"subnet": "10.2.0.0/16", "exclude": ["10.2.0.0/24"]}]]}}'
    )
    script = node.script("--conf", str(conf), config=node.settings("ptp", "4"))
    given = node.add(script, *PODS)
    assert list(given.values()) == [["10.1.0.2"], ["10.2.1.0"], ["10.2.1.1"]]
    assert pings(node, "blue", "10.1.0.2")
    assert pings(node, "green", "10.2.1.0")
    assert "via 10.2.0.1" in node.run("ip", "route", pod="green").stdout
