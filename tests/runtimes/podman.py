"""podman with its CNI backend on a node, and an image made here."""

import json
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from podnet.testing.node import Node
from podnet.testing.waiting import PATIENCE, eventually
from tests.runtimes.cgroup import Cgroup

CONTAINERS = """
[containers]
log_driver = "none"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
tmp_dir = "/run/libpod"
lock_type = "file"
"""
"""Locks in files of the node, not in the machine's /dev/shm; no limits above those that the machine has; and runc, for
crun refuses a machine that has both versions of cgroups."""
STORAGE = """
[storage]
driver = "vfs"
runroot = "/run/storage-run"
graphroot = "/run/storage"
"""
IMAGE = "podnet.test/greet:1"
GREET_C = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>
/* Says to whoever comes to port 80 where from. */
int main(void) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(80)}, asker;
    int listens = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listens, (struct sockaddr *)&own, sizeof own) || listen(listens, 64)) return 1;
    for (;;) {
        socklen_t size = sizeof asker;
        int served = accept(listens, (struct sockaddr *)&asker, &size);
        dprintf(served, "%s\n", inet_ntoa(asker.sin_addr));
        close(served);
    }
}
"""


class Podman:
    """podman, whose processes and containers `stack` ends."""

    def __init__(self, node: Node, cgroup: Cgroup, image: Path, stack: ExitStack) -> None:
        self.node = node
        self.cgroup = cgroup
        self._stack = stack
        for name, content in (("containers.conf", CONTAINERS), ("storage.conf", STORAGE)):
            (node.root / "run" / name).write_text(content)
        (node.root / "run/greet.tar").write_bytes(image.read_bytes())
        self.run("import", "/run/greet.tar", IMAGE)

    def run(self, *argv: str, refused: bool = False) -> str:
        """Run podman; return what it prints, or its complaint where it is `refused`."""
        named = ("env", "CONTAINERS_CONF=/run/containers.conf", "CONTAINERS_STORAGE_CONF=/run/storage.conf")
        command = self.node.enter(*self.cgroup.enter(*named, "podman", *argv))
        done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=2 * PATIENCE)
        if bool(done.returncode) != refused:
            raise RuntimeError(f"podman {argv}: {done.returncode} {done.stdout}{done.stderr}")
        return done.stderr if refused else done.stdout

    def options(self, name: str) -> list[str]:
        """Return the options of `podman run` that every container gets."""
        return ["--pull", "never", "--name", name, "--network", "podnet", "--cgroup-parent", self.cgroup.path]

    def start(self, name: str, *options: str) -> str:
        """Start a container that greets at port 80; return its address."""
        self.run("run", "--detach", *self.options(name), *options, IMAGE, "/greet")
        return str(self.settings(name)["IPAddress"])

    def settings(self, name: str) -> Any:
        """Return what podman holds of a container's attachment."""
        told = json.loads(self.run("inspect", "--format", "{{json .NetworkSettings.Networks.podnet}}", name))
        assert isinstance(told, dict), told
        return told

    def place(self, name: str) -> str:
        """Return what `Node.place` calls a container's namespace."""
        return Path(self.run("inspect", "--format", "{{.NetworkSettings.SandboxKey}}", name).strip()).name

    def remove(self, *names: str) -> None:
        """Kill and remove containers."""
        self.run("rm", "--force", "--time", "0", *names)

    def assert_nothing_left(self, before: dict[str, Any]) -> None:
        """Compare the node with what it was before the first container, and look for what they have elsewhere."""
        self.node.wait_for_links(0)
        eventually(lambda: self.node.leases() == [], f"the end of {self.node.leases()}")
        assert self.node.state() == before
        assert [netns.name for netns in (self.node.root / "run/netns").iterdir()] == ["outside"]
        assert list((self.node.root / "var/lib/cni/results").iterdir()) == []
        eventually(lambda: self.cgroup.processes() == set(), f"the end of {self.cgroup.processes()}")


def greeted(node: Node, source: str, address: str, port: int = 80) -> str:
    """Return what the container reached at `address`, `port` says of who comes from `source`."""
    with node.open_socket(source, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect((address, port))
        return client.makefile().readline().strip()
