"""containerd on a node, told of podnet by its own configuration only: two folders."""

import json
import signal
import subprocess
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from podnet.testing.node import Node
from podnet.testing.waiting import PATIENCE, eventually
from tests.runtimes.cgroup import Cgroup
from tests.runtimes.cri import Call, RuntimeService
from tests.runtimes.images import PAUSE

SOCKET = "/run/containerd/containerd.sock"
LOG = "run/containerd.log"


def serving(plugins: str = "/opt/cni/bin") -> str:
    """Return what containerd is told of the interface that kubelet uses; `plugins` is where it looks for them."""
    return f"""[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


# The node's /run is a tmpfs, where an overlay's upper layer may be; its /var/lib is an overlay itself.
CONFIGURATION = f"""
version = 2
root = "/run/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart"]
{serving()}"""
READY, NOT_READY = 0, 1


class Sandbox(NamedTuple):
    """A pod sandbox: `place` is what `Node.place` calls its namespace, `result` what containerd holds of ADD's."""

    id: str
    address: str
    place: str
    pid: int
    result: dict[str, Any]


class Containerd:
    """containerd with its socket; `stack` ends it, and all it started."""

    def __init__(self, node: Node, cgroup: Cgroup, image: Path, stack: ExitStack) -> None:
        self.node = node
        self.cgroup = cgroup
        self._image = image
        self._stack = stack
        self.process: subprocess.Popen[bytes] | None = None
        (node.root / "run/containerd.toml").write_text(CONFIGURATION)
        stack.callback(self.kill)

    def start(self) -> None:
        """Start it, wait until it answers, and give it the image of the sandboxes where it has none."""
        with (self.node.root / LOG).open("ab") as log:
            command = self.cgroup.enter("containerd", "-c", "/run/containerd.toml")
            self.process = subprocess.Popen(self.node.enter(*command), stdout=log, stderr=log)
        self.service = RuntimeService(f"{self.node.root}{SOCKET}", 2 * PATIENCE)
        self._stack.callback(self.service.close)
        eventually(self._answers, "an answer of containerd")
        if PAUSE not in self.ctr("images", "ls", "-q"):
            (self.node.root / "run/pause.tar").write_bytes(self._image.read_bytes())
            self.ctr("images", "import", "/run/pause.tar")

    def _answers(self) -> bool:
        """Tell whether it has read what it left; until then it refuses."""
        return not self.service.begin("Status").failed()

    def ctr(self, *argv: str) -> str:
        """Run containerd's own client where the sandboxes' images are."""
        return self.node.run("ctr", "--namespace", "k8s.io", *argv)

    def log(self) -> str:
        """Return what it logged."""
        return (self.node.root / LOG).read_text(errors="replace")

    def kill(self) -> None:
        """Send SIGKILL to it alone: sandboxes live on, as they do when it is upgraded."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(PATIENCE)

    def condition(self, kind: str) -> dict[str, Any]:
        """Return a condition of the runtime: RuntimeReady or NetworkReady."""
        conditions = self.service.call("Status")["status"]["conditions"]
        return next(condition for condition in conditions if condition["type"] == kind)

    def wait_network(self) -> None:
        """Wait until it has found a network."""
        eventually(lambda: self.condition("NetworkReady")["status"], "NetworkReady")

    # Sandboxes

    def configuration(
        self, name: str, ports: Iterable[dict[str, Any]] = (), annotations: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Return a sandbox's configuration, as kubelet writes one."""
        return {
            "metadata": {"name": name, "uid": f"uid-{name}", "namespace": "default"},
            "hostname": name,
            "dns_config": {"servers": ["10.99.0.1"]},
            "port_mappings": list(ports),
            "annotations": annotations or {},
            "linux": {"cgroup_parent": self.cgroup.path},
        }

    def begin(self, name: str, **more: Any) -> Call:
        """Begin to make a sandbox."""
        return self.service.begin("RunPodSandbox", config=self.configuration(name, **more))

    def made(self, call: Call) -> Sandbox:
        """Wait until a sandbox is there, and look at it."""
        try:
            return self.look(call.result()["pod_sandbox_id"])
        except Exception as error:
            error.add_note(self.log())
            raise

    def run(self, name: str, **more: Any) -> Sandbox:
        """Make a sandbox."""
        return self.made(self.begin(name, **more))

    def look(self, sandbox: str) -> Sandbox:
        """Return what containerd tells of a sandbox."""
        told = self.service.call("PodSandboxStatus", pod_sandbox_id=sandbox, verbose=True)
        info = json.loads(told["info"]["info"])
        (path,) = [n["path"] for n in info["runtimeSpec"]["linux"]["namespaces"] if n["type"] == "network"]
        place = Path(path).name
        return Sandbox(sandbox, told["status"]["network"]["ip"], place, info["pid"], info.get("cniResult", {}))

    def listed(self) -> list[str]:
        """Return the ids of all sandboxes, half-made ones too."""
        return [item["id"] for item in self.service.call("ListPodSandbox")["items"]]

    def remove(self, sandboxes: Iterable[str]) -> None:
        """Stop and remove sandboxes, all at once."""
        sandboxes = list(sandboxes)
        for method in ("StopPodSandbox", "RemovePodSandbox"):
            for call in [self.service.begin(method, pod_sandbox_id=sandbox) for sandbox in sandboxes]:
                call.result()

    def assert_nothing_left(self, before: dict[str, Any], *, abandoned: bool = False) -> None:
        """Compare the node with what it was before the first pod, and look for what pods have elsewhere.

        With `abandoned` containerd was killed, and may have lost what it was about to make or to end: namespaces where
        nobody was attached, containers not begun, its helpers.  They end with the test.
        """
        self.node.wait_for_links(0)
        eventually(lambda: self.node.leases() == [], f"the end of {self.node.leases()}")
        assert self.node.state() == before
        assert self.listed() == []
        if abandoned:
            return
        assert [netns.name for netns in (self.node.root / "run/netns").iterdir()] == ["outside"]
        assert self.cgroup.containers() == []
        own = {self.process.pid} if self.process else set()
        eventually(lambda: self.cgroup.processes() == own, f"the end of {self.cgroup.processes() - own}")
