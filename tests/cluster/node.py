"""A node: containerd, kubelet and kube-proxy on a host of the machine."""

import json
import os
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from podnet.kernel.namespace import entered
from podnet.testing.waiting import PATIENCE
from tests.cluster.api import waited
from tests.cluster.configuration import Configuration
from tests.cluster.control import POD_CIDRS, cidrs
from tests.cluster.lan import Port
from tests.cluster.machine import Host, Machine
from tests.runtimes.containerd import SOCKET, serving
from tests.runtimes.cri import RuntimeService

KUBECONFIG = "/run/kubeconfig"
KUBELET: dict[str, Any] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "cgroupDriver": "cgroupfs",
    "cgroupsPerQOS": False,  # the machine's version of cgroups may lack what these need
    "enforceNodeAllocatable": [],
    "failCgroupV1": False,
    "failSwapOn": False,
    "containerRuntimeEndpoint": f"unix://{SOCKET}",
    "clusterDomain": "cluster.local",
    "clusterDNS": ["10.96.0.10"],
    "evictionHard": {"memory.available": "50Mi"},
    "imageMaximumGCAge": "0s",
    "imageGCHighThresholdPercent": 100,
    "maxPods": 250,
    "oomScoreAdj": 0,
    "syncFrequency": "10s",
    "nodeStatusUpdateFrequency": "5s",
    "staticPodPath": "/etc/kubernetes/manifests",
    "fileCheckFrequency": "1s",
    "resolvConf": "",
    "registryPullQPS": 0,
    "eventRecordQPS": 0,
    "kubeAPIQPS": 200,
    "kubeAPIBurst": 400,
}


class Sandbox(NamedTuple):
    """A pod as its node's runtime has it."""

    id: str
    netns: str
    pid: int


class Node:
    """A node's programs; the machine ends them."""

    def __init__(
        self, machine: Machine, host: Host, port: Port, configuration: Configuration, stack: ExitStack
    ) -> None:
        self.name = host.name
        self.host = host
        self.port = port
        self._machine = machine
        self._configuration = configuration
        self._stack = stack
        self._networks: dict[str, int] = {}
        self.runtime = RuntimeService(f"{host.root}{SOCKET}", 4 * PATIENCE)
        stack.callback(self.runtime.close)

    def start_runtime(self, images: list[Path]) -> None:
        """Start containerd, with images."""
        self._write("run/containerd.toml", f"version = 2\noom_score = 0\n{serving(self._configuration.plugins)}")
        self._run("containerd", "containerd", "-c", "/run/containerd.toml")
        waited(lambda: not self.runtime.begin("Status").failed(), "an answer of containerd")
        self.load(images)

    def load(self, images: list[Path]) -> None:
        """Give containerd images."""
        for image in images:
            with image.open("rb") as content:
                (self.host.root / "run/image.tar").write_bytes(content.read())
            self.host.run("ctr", "--namespace", "k8s.io", "images", "import", "/run/image.tar", patience=4 * PATIENCE)
        (self.host.root / "run/image.tar").unlink(missing_ok=True)

    def start_kubernetes(self, programs: Path, kubeconfig: str) -> None:
        """Start kubelet and kube-proxy."""
        families = self._configuration.families
        self._write("run/kubeconfig", kubeconfig)
        self._write("run/kubelet.json", json.dumps(KUBELET))
        (self.host.root / "etc/kubernetes/manifests").mkdir(parents=True)
        self._run(
            "kubelet", f"{programs}/kubelet", f"--kubeconfig={KUBECONFIG}", "--config=/run/kubelet.json",
            f"--hostname-override={self.name}", f"--node-ip={','.join(self.port.address(f) for f in families)}",
            "--cert-dir=/run/kubelet-pki",
        )  # fmt: skip
        self._run(
            "kube-proxy", f"{programs}/kube-proxy", f"--kubeconfig={KUBECONFIG}", f"--hostname-override={self.name}",
            f"--proxy-mode={self._configuration.proxy}", f"--cluster-cidr={cidrs(POD_CIDRS, families)}",
            "--conntrack-max-per-core=0", "--oom-score-adj=0",
        )  # fmt: skip

    def _write(self, path: str, content: str) -> None:
        (self.host.root / path).write_text(content)

    def _run(self, name: str, *argv: str) -> None:
        with (self._machine.root / f"run/log/{self.name}-{name}.log").open("ab") as log:
            self.host.start(log, *argv)

    def log(self, name: str) -> str:
        """Return what a program logged."""
        return (self._machine.root / f"run/log/{self.name}-{name}.log").read_text(errors="replace")

    # Pods

    def sandbox(self, namespace: str, name: str) -> Sandbox:
        """Return a pod's sandbox that is ready."""
        for item in self.runtime.call("ListPodSandbox")["items"]:
            metadata = item["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, name) and not item["state"]:
                told = self.runtime.call("PodSandboxStatus", pod_sandbox_id=item["id"], verbose=True)
                info = json.loads(told["info"]["info"])
                spaces = {space["type"]: space.get("path", "") for space in info["runtimeSpec"]["linux"]["namespaces"]}
                return Sandbox(item["id"], spaces.get("network", ""), info["pid"])
        raise LookupError(f"{self.name} has no sandbox of {namespace}/{name}")

    def network(self, sandbox: Sandbox) -> int:
        """Return a descriptor of a pod's network; the node's where it has none of its own."""
        if not sandbox.netns:
            return self.host.network
        if sandbox.netns not in self._networks:
            path = self.host.root / "run/netns" / Path(sandbox.netns).name  # /var/run, a link, is followed from here
            self._networks[sandbox.netns] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._stack.callback(os.close, self._networks[sandbox.netns])
        return self._networks[sandbox.netns]


def open_socket(machine: Machine, network: int, family: int, kind: int) -> socket.socket:
    """Return a socket in a network of the machine."""
    with entered(network, machine.home):
        made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, kind)
    made.settimeout(PATIENCE)
    return made
