"""Lab pods: a network namespace each, attached as a container runtime attaches one.

A runtime reads the first configuration list in /etc/cni/net.d and executes each plugin in it, with CNI_* variables,
the plugin's own part of the list with `name` and `cniVersion` injected on standard input, and the result of the one
before as `prevResult` (CNI SPEC.md, "Section 3: Execution of Network Configurations").
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from podnet.errors import IOFailure
from podnet.lab import record
from podnet.lab.namespaces import NAMED
from podnet.lab.nodes import enter, log_tail
from podnet.lab.topology import LabNode, Topology

CNI_BIN = "/opt/cni/bin"
LISTED_IN = "etc-cni/net.d"


class LabPod(NamedTuple):
    """A pod by its node and its colour; the colour is its container id."""

    node: LabNode
    colour: str

    @property
    def name(self) -> str:
        """The name it has in the lab: n1-red."""
        return f"{self.node.name}-{self.colour}"


def of(nodes: Sequence[LabNode]) -> list[LabPod]:
    """Return all pods of `nodes`."""
    return [LabPod(node, colour) for node in nodes for colour in node.pods]


def configuration_list(lab: Topology, node: LabNode) -> dict[str, Any]:
    """Return the configuration list that a runtime on `node` would use: the first by file name."""
    place = record.folder(lab.name) / node.name / LISTED_IN
    files = sorted(p for p in place.iterdir() if p.suffix in {".conflist", ".conf", ".json"})
    if not files:
        raise IOFailure(f"lab node {node.name} has no file in /etc/cni/net.d", log_tail(lab, node))
    document: dict[str, Any] = msgspec.json.decode(files[0].read_bytes())
    return document if "plugins" in document else {**document, "plugins": [document]}


def plugin_configurations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each plugin's type and the configuration that it gets on standard input, less `prevResult`."""
    for plugin in document["plugins"]:
        yield plugin["type"], {**plugin, "cniVersion": document["cniVersion"], "name": document["name"]}


class _Call:
    """One pod's ADD underway: the plugins of the list, one after the other."""

    def __init__(self, lab: Topology, pod: LabPod, document: dict[str, Any]) -> None:
        self.pod = pod
        self._enter = enter(lab, pod.node)
        self._plugins = list(plugin_configurations(document))
        self._environment = {
            **os.environ,
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": pod.colour,
            "CNI_NETNS": str(NAMED / lab.namespace(pod.node, pod.colour)),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": CNI_BIN,
        }
        self.result: dict[str, Any] = {}
        self.next()

    def next(self) -> bool:
        """Start the next plugin; return False if there is none."""
        if not self._plugins:
            return False
        kind, configuration = self._plugins.pop(0)
        if self.result:
            configuration["prevResult"] = self.result
        self._process = subprocess.Popen(
            [*self._enter, f"{CNI_BIN}/{kind}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self._environment,
        )  # fmt: skip
        self._input = msgspec.json.encode(configuration)
        return True

    def finish(self) -> None:
        """Wait for the plugin and keep its result; raise `IOFailure` with its own error."""
        output, errors = self._process.communicate(self._input)
        if self._process.returncode != 0:
            raise IOFailure(f"ADD of lab pod {self.pod.name}: {_told(output) or errors.decode(errors='replace')}")
        self.result = msgspec.json.decode(output)


def _told(output: bytes) -> str:
    """Return code, message and details of a CNI error document, or the bytes as they are."""
    try:
        document = msgspec.json.decode(output)
        words = [str(document[key]) for key in ("msg", "details") if document.get(key)]
        return f"CNI error {document['code']}: {'; '.join(words)}"
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return output.decode(errors="replace").strip()


def attach(lab: Topology, pods: Sequence[LabPod]) -> Iterator[tuple[LabPod, tuple[str, ...]]]:
    """Attach `pods`, whose namespaces exist, a few at a time; yield each with the addresses that ADD answered."""
    lists = {pod.node.name: configuration_list(lab, pod.node) for pod in pods}
    for at in range(0, len(pods), 8):
        calls = [_Call(lab, pod, lists[pod.node.name]) for pod in pods[at : at + 8]]
        for call in calls:
            call.finish()
            while call.next():
                call.finish()
            yield call.pod, tuple(ip["address"].split("/")[0] for ip in call.result.get("ips", ()))
