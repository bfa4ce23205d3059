"""A cluster of real components, with as many nodes as its configuration has; podnet comes by :mod:`deployment`."""

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from podnet.testing.waiting import PATIENCE
from tests.cluster.api import Object, waited
from tests.cluster.configuration import Configuration
from tests.cluster.control import ControlPlane
from tests.cluster.lan import CONTROL, join_lan, make_lan, node_port
from tests.cluster.machine import Machine
from tests.cluster.node import Node, open_socket


class Cluster:
    """A cluster that is up, its nodes without a network for pods yet; `stack` ends it."""

    def __init__(self, configuration: Configuration, programs: Path, images: list[Path], stack: ExitStack) -> None:
        self.configuration = configuration
        self.programs = programs
        self.machine = Machine(stack)
        make_lan(self.machine, configuration.subnets)
        place = self.machine.network_host("control")
        join_lan(self.machine, place, CONTROL)
        self.control = ControlPlane(self.machine, place, programs, configuration)
        stack.callback(self.control.close)
        self.api = self.control.api
        self.nodes = [self._node(number, stack) for number in range(1, configuration.nodes + 1)]
        with ThreadPoolExecutor() as threads:
            runtimes = [threads.submit(node.start_runtime, images) for node in self.nodes]
            self.control.start()
            for runtime in runtimes:
                runtime.result()
        for node in self.nodes:
            node.start_kubernetes(programs, self.control.kubeconfig_text)
        for node in self.nodes:
            waited(partial(self._registered, node.name), f"Node {node.name}")

    def _node(self, number: int, stack: ExitStack) -> Node:
        configuration = self.configuration
        host = self.machine.host(f"n{number}")
        port = node_port(number, configuration.nodes, configuration.subnets)
        join_lan(self.machine, host, port)
        return Node(self.machine, host, port, configuration, stack)

    def _registered(self, name: str) -> bool:
        return bool(self.api.get("Node", name)["spec"].get("podCIDRs"))

    def _ready(self, name: str) -> bool:
        return bool(self.condition(name, "Ready")["status"] == "True")

    def node(self, name: str) -> Node:
        """Return the node called `name`."""
        return next(node for node in self.nodes if node.name == name)

    def kubectl(self, *argv: str, text: str = "") -> str:
        """Run kubectl as an administrator does, from outside of the nodes."""
        command = [str(self.programs / "kubectl"), f"--kubeconfig={self.control.kubeconfig}", *argv]
        return self.machine.run(*command, text=text, patience=8 * PATIENCE)  # a rollout takes its time on each node

    def wait_ready(self) -> None:
        """Wait until every node is Ready."""
        for node in self.nodes:
            waited(partial(self._ready, node.name), f"{node.name} Ready")

    def condition(self, node: str, kind: str) -> Object:
        """Return a condition of a Node."""
        found: list[Object] = self.api.get("Node", node)["status"]["conditions"]
        return next(condition for condition in found if condition["type"] == kind)

    def open_socket(self, network: int, family: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """Return a socket in a network of the cluster."""
        return open_socket(self.machine, network, family, kind)
