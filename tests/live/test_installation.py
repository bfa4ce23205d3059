"""`podnet install` and `podnet uninstall` on a machine: what is there before, between and after."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podnet.daemon.install import install_shim
from podnet.testing.node import Node
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

CONFLIST = "etc/cni/net.d/10-podnet.conflist"
UNIT = "etc/systemd/system/podnet.service"
SYSTEMCTL = """#!/bin/sh
list=$(test -e /etc/cni/net.d/10-podnet.conflist && echo listed || echo unlisted)
echo "$list $*" >> /run/calls
case "$1" in
show) cat /run/main.pid 2>/dev/null || echo 0;;
stop) test ! -e /run/stubborn || exit 1
      kill "$(cat /run/main.pid)"; rm /run/main.pid
      while test -e /run/podnet/podnet.sock; do sleep 0.01; done;;
esac
"""


def podnet(node: Node, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run podnet's command line on the node."""
    command = node.enter("env", "PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin", sys.executable, "-m", "podnet.cli")
    return subprocess.run([*command, *words], text=True, capture_output=True, check=False, timeout=60)


def done(node: Node, *words: str) -> dict[str, str]:
    """Run it to its good end; return what was done, by place."""
    result = podnet(node, *words)
    assert result.returncode == 0, result.stdout + result.stderr
    return {line[14:].partition(": ")[0]: line[:14].strip() for line in result.stdout.splitlines()}


def files(node: Node) -> list[str]:
    """Return what there is of podnet and of CNI among the node's files."""
    places = "/etc/cni /opt/cni /etc/systemd/system/podnet.service /run/podnet"
    found = node.run("sh", "-c", f"find {places} ! -type d 2>/dev/null | sort", check=False).split()
    return [path.lstrip("/") for path in found]


def kernel(node: Node) -> dict[str, Any]:
    """Return the state of the node but for what stays: sysctls, and the flags that follow from them."""
    return {what: found for what, found in node.state().items() if what != "sysctls"}


def systemd(node: Node) -> Callable[[], list[str]]:
    """Let systemd be the node's init as far as anyone can tell; return what gives the calls of systemctl so far."""
    node.sh("mkdir -p /run/systemd/system /run/bin")
    program = node.root / "run/bin/systemctl"
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)

    def calls() -> list[str]:
        path = node.root / "run/calls"
        words = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [call for call in words if " show " not in call]

    return calls


def run_by_systemd(node: Node) -> None:
    """Start the daemon and have systemd know it."""
    (node.root / "run/main.pid").write_text(str(node.start().pid))


def test_install_puts_both_shims_there_and_no_list(bare: Node) -> None:
    """Shim and loopback are installed, the list is not; a second time nothing is changed."""
    bare.configure()
    told = done(bare, "install")
    assert told["/opt/cni/bin/podnet"] == told["/opt/cni/bin/loopback"] == "installed"
    assert told["podnet node run"] == "next"
    assert files(bare) == ["opt/cni/bin/loopback", "opt/cni/bin/podnet"]
    before = [(bare.root / path).stat().st_ino for path in files(bare)]
    assert "installed" not in done(bare, "install").values()
    assert [(bare.root / path).stat().st_ino for path in files(bare)] == before


def test_what_is_installed_serves(bare: Node) -> None:
    """The shim that `podnet install` wrote is the daemon's to a byte, so that the daemon's start changes nothing."""
    bare.configure()
    done(bare, "install")
    before = [(bare.root / path).stat().st_ino for path in files(bare)]
    bare.start()
    assert [(bare.root / path).stat().st_ino for path in files(bare) if "/bin/" in path] == before
    assert (bare.root / CONFLIST).exists()
    assert bare.attach("red")


def test_a_strangers_loopback_stays(bare: Node) -> None:
    """Neither `podnet install` nor the daemon nor `podnet uninstall` touches a loopback that is not podnet's."""
    bare.configure()
    bare.sh("mkdir -p /opt/cni/bin; echo theirs > /opt/cni/bin/loopback")
    assert done(bare, "install")["/opt/cni/bin/loopback"] == "left"
    bare.start()
    bare.stop()
    assert done(bare, "uninstall")["/opt/cni/bin/loopback"] == "left"
    assert (bare.root / "opt/cni/bin/loopback").read_text() == "theirs\n"
    assert not (bare.root / "opt/cni/bin/podnet").exists()


def test_systemd_runs_the_daemon(bare: Node) -> None:
    """The unit is written, made known, enabled and started; again nothing is restarted, after a change it is."""
    calls = systemd(bare)
    bare.configure()
    assert done(bare, "install")["/" + UNIT] == "installed"
    assert f"ExecStart={sys.executable} -I -m podnet.cli node run" in (bare.root / UNIT).read_text().splitlines()
    words = ["unlisted daemon-reload", "unlisted enable podnet.service", "unlisted restart podnet.service"]
    assert calls() == words
    assert done(bare, "install")["/" + UNIT] == "there already"
    assert calls() == [*words[:2], "unlisted start podnet.service"]
    install_shim(f"{bare.root}/opt/cni/bin", interpreter="/of/an/older/one")
    done(bare, "install")
    assert calls() == words
    done(bare, "install", "--no-systemd")
    assert calls() == []


def test_a_unit_for_a_system_that_is_not_running(bare: Node) -> None:
    """With --systemd the unit is written where systemd is not the init, as in an image; nothing is started."""
    bare.configure()
    told = done(bare, "install", "--systemd", "--cni-bin-dir", "/opt/cni bin")
    assert told["systemctl enable --now podnet"] == "next"
    assert '--cni-bin-dir "/opt/cni bin"' in (bare.root / UNIT).read_text()
    assert done(bare, "uninstall", "--cni-bin-dir", "/opt/cni bin")["/" + UNIT] == "removed"


def test_a_rival_is_told_and_left(bare: Node) -> None:
    """A configuration that runtimes take before podnet's is named by `podnet install` and in the daemon's log."""
    bare.configure()
    rival = bare.root / "etc/cni/net.d/05-rival.conflist"
    rival.parent.mkdir(parents=True)
    rival.write_text('{"cniVersion": "1.0.0", "name": "rival", "plugins": [{"type": "bridge"}]}')
    assert done(bare, "install")["/etc/cni/net.d/05-rival.conflist"] == "warning"
    daemon = bare.start()
    assert "05-rival.conflist sorts before 10-podnet.conflist" in daemon.wait_log("sorts before")
    assert '"rival"' in rival.read_text()


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_uninstall_leaves_the_node_as_it_was(bare: Node, datapath: str) -> None:
    """After install, pods, their end and uninstall the kernel's state and the files are those of before."""
    bare.configure(datapath, (4, 6))
    # Forwarding stays on, and with it what a forwarding node has besides: the routers' anycast addresses.
    bare.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    before = kernel(bare), files(bare)
    done(bare, "install")
    bare.start()
    bare.attach("red")
    assert kernel(bare) != before[0]
    bare.stop()
    assert bare.cni("DEL", "red").status == 0
    told = done(bare, "uninstall")
    assert told["the node's part"] == "removed"
    assert told["/var/lib/podnet"] == told["/etc/podnet"] == "left"
    bare.run("ip", "netns", "del", "red")
    assert (kernel(bare), files(bare)) == before
    assert (bare.root / "var/lib/podnet/podnet.db").exists()
    assert done(bare, "uninstall", "--purge")["/var/lib/podnet"] == "removed"
    assert not (bare.root / "var/lib/podnet").exists()
    assert (bare.root / "etc/podnet/nodes.yaml").exists()


def test_uninstall_where_nothing_is_installed(bare: Node) -> None:
    """Nothing is there to be removed, which is no error, and no database is left behind."""
    bare.configure()
    before = kernel(bare)
    told = done(bare, "uninstall")
    assert {place for place, deed in told.items() if deed == "removed"} == {"/var/lib/podnet"}, "what it made to look"
    assert not (bare.root / "var/lib/podnet").exists()
    assert kernel(bare) == before


def test_pods_are_in_the_way(serving: Callable[..., Node]) -> None:
    """While pods are attached uninstall names them and removes nothing; with --force they are given up."""
    node = serving("ptp", (4, 6))
    address = node.attach("red")
    node.attach("blue")
    node.stop()
    before = kernel(node), files(node)
    refused = podnet(node, "uninstall")
    assert refused.returncode == 1
    assert "2 pods attached: red (eth0), blue (eth0)" in refused.stderr
    assert "--force" in refused.stderr
    assert refused.stdout == ""
    assert (kernel(node), files(node)) == before
    assert node.exchange("", "red", address)
    told = done(node, "uninstall", "--force")
    assert told["the node's part"] == "removed"
    assert node.pod_links() == []
    assert "podnet" not in node.run("nft", "list", "ruleset")
    assert node.json("ip", "-j", "route", "show", "proto", "112") == []
    assert node.leases() == []


def test_spooled_ends_are_heard(serving: Callable[..., Node]) -> None:
    """A pod whose DEL is in the spool is not in the way: the DEL is carried out."""
    node = serving()
    node.attach("red")
    node.stop()
    install_shim(f"{node.root}/opt/cni/bin", interpreter="")
    assert node.cni("DEL", "red") == (0, b"")
    assert len(list((node.root / "var/lib/podnet/spool").iterdir())) == 1
    done(node, "uninstall")
    assert list((node.root / "var/lib/podnet/spool").iterdir()) == []
    assert node.leases() == []


def test_a_daemon_that_systemd_does_not_run(node: Node) -> None:
    """It is for whoever started it to end: it is named, nothing is removed, and it serves on."""
    assert node.daemon is not None
    before = files(node)
    refused = podnet(node, "uninstall")
    assert refused.returncode == 1
    assert f"`kill {node.daemon.pid}`" in refused.stderr
    assert files(node) == before
    assert node.attach("red")


def test_the_list_goes_before_the_daemon(bare: Node) -> None:
    """Runtimes are told of no network before its daemon ends; then the unit goes, and systemd is told."""
    calls = systemd(bare)
    bare.configure()
    done(bare, "install")
    run_by_systemd(bare)
    calls()
    told = done(bare, "uninstall")
    assert told["/" + CONFLIST] == told["/" + UNIT] == "removed"
    assert calls() == [
        f"unlisted {word}" for word in ("stop podnet.service", "disable podnet.service", "daemon-reload")
    ]
    assert files(bare) == []


def test_pods_are_in_the_way_of_a_service_too(bare: Node) -> None:
    """With pods attached the daemon is not even stopped."""
    calls = systemd(bare)
    bare.configure()
    done(bare, "install")
    run_by_systemd(bare)
    calls()
    address = bare.attach("red")
    assert podnet(bare, "uninstall").returncode == 1
    assert calls() == []
    assert (bare.root / CONFLIST).exists()
    assert bare.exchange("", "red", address)


def test_what_cannot_be_finished_is_put_back(bare: Node) -> None:
    """Where the daemon does not end, the list is there again, to a byte, and systemd is told to start the daemon."""
    calls = systemd(bare)
    bare.configure()
    done(bare, "install")
    run_by_systemd(bare)
    content = (bare.root / CONFLIST).read_bytes()
    (bare.root / "run/stubborn").touch()
    calls()
    refused = podnet(bare, "uninstall")
    assert refused.returncode == 1
    assert "systemctl stop podnet.service failed" in refused.stderr
    assert calls() == ["unlisted stop podnet.service", "listed start podnet.service"]
    assert (bare.root / CONFLIST).read_bytes() == content
    assert bare.attach("red")


def test_a_list_that_is_not_podnets_stays(bare: Node) -> None:
    """A list of podnet's name without podnet in it is somebody's, as is one with podnet in it of another name."""
    bare.configure()
    folder = bare.root / "etc/cni/net.d"
    folder.mkdir(parents=True)
    (folder / "10-podnet.conflist").write_text('{"cniVersion": "1.0.0", "name": "x", "plugins": [{"type": "bridge"}]}')
    (folder / "20-mine.conflist").write_text('{"cniVersion": "1.0.0", "name": "y", "plugins": [{"type": "podnet"}]}')
    assert done(bare, "uninstall")["/etc/cni/net.d/20-mine.conflist"] == "warning"
    assert [json.loads(path.read_bytes())["name"] for path in sorted(folder.iterdir())] == ["x", "y"]


def test_the_list_stays_whatever_ends_the_daemon(serving: Callable[..., Node]) -> None:
    """SIGTERM, kill -9 and the next start leave the list as it is, the same file: runtimes notice nothing."""
    node = serving()
    before = (node.root / CONFLIST).stat()
    for how in (signal.SIGTERM, signal.SIGKILL):
        node.stop(how)
        node.start()
        now = (node.root / CONFLIST).stat()
        assert (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_daemon_that_cannot_build_the_nodes_part_installs_nothing(bare: Node) -> None:
    """With a stranger's br0 in the way there is neither list nor shim, so no runtime counts the node as ready."""
    bare.configure("bridge")
    bare.sh("ip link add br0 type bridge")
    refused = bare.launch()
    assert "br0 is there and is not podnet's" in refused.wait_log("br0")
    assert refused.end(0) == 1
    assert files(bare) == []


def test_an_upgrade_while_a_shim_runs(serving: Callable[..., Node]) -> None:
    """The new shim takes the place of one that is executed at that moment, which ends as if nothing had been."""
    node = serving()
    node.stop()
    install_shim(f"{node.root}/opt/cni/bin", interpreter="")  # as good as an older one: other bytes
    old = (node.root / "opt/cni/bin/podnet").stat().st_ino
    node.pod("red")
    running = subprocess.Popen(
        node.enter("/opt/cni/bin/podnet"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": "red",
            "CNI_IFNAME": "eth0",
            "CNI_NETNS": "/run/netns/red",
        },
    )
    eventually(lambda: Path(f"/proc/{running.pid}/exe").readlink().name == "podnet", "the shim runs")
    node.start()
    assert (node.root / "opt/cni/bin/podnet").stat().st_ino != old
    output, _ = running.communicate(b'{"cniVersion": "1.0.0", "name": "podnet", "type": "podnet"}', timeout=30)
    assert running.returncode == 0, output
    assert json.loads(output)["ips"]


def test_a_spooled_loopback_does_not_keep_the_daemon_from_serving(serving: Callable[..., Node]) -> None:
    """A DEL of the loopback plugin that nobody heard is dealt with at the next start, and pods are served."""
    node = serving()
    node.stop()
    for name in ("podnet", "loopback"):
        install_shim(f"{node.root}/opt/cni/bin", interpreter="", name=name)
    configuration = '{"cniVersion": "1.0.0", "name": "cni-loopback", "type": "loopback"}'
    words = "CNI_COMMAND=DEL CNI_CONTAINERID=red CNI_IFNAME=lo CNI_NETNS=/run/netns/red CNI_PATH=/opt/cni/bin"
    node.sh(f"echo '{configuration}' | env {words} /opt/cni/bin/loopback")
    assert len(list((node.root / "var/lib/podnet/spool").glob("*.frame"))) == 1
    node.start()
    assert list((node.root / "var/lib/podnet/spool").glob("*.frame")) == []
    assert node.attach("red")
