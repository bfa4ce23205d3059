"""The centralized router as a role: a BIRD that knows the cluster's nodes, on a machine that has no pods.

It follows the same list of nodes as they do, so a node that joins is a neighbour without anybody's configuring it.
"""

import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from podnet.bird import Configuration
from podnet.cluster import NodesSource, Settings, read_settings, with_etcd
from podnet.cluster.nodes import own_node
from podnet.daemon import speaking
from podnet.daemon.describe import describe
from podnet.daemon.loop import Loop
from podnet.daemon.node import list_nodes, node_settings, own_addresses
from podnet.daemon.notify import Notifier
from podnet.daemon.paths import Paths
from podnet.daemon.source import open_source
from podnet.errors import InvalidConfiguration
from podnet.kernel import Kernel
from podnet.kernel.facts import connected_subnets, node_facts
from podnet.mesh.bgp import router_configuration
from podnet.model import Node, Router
from podnet.plan import Plan, Step, Sysctl
from podnet.routing import Places, Speaker

NO_ETCD: Mapping[str, str] = MappingProxyType({})
FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}

log = logging.getLogger("podnet")


def own_router(settings: Settings, config: str) -> Router:
    """Return the router that podnet.yaml, the file `config`, has under this machine's name.

    Raises InvalidConfiguration.
    """
    for router in settings.bgp.routers:
        if router.name == settings.node:
            return router
    listed = ", ".join(router.name for router in settings.bgp.routers) or "none"
    raise InvalidConfiguration(
        f"{config}: this router is called {settings.node} and `bgp.routers` has no such name (it has: {listed}); add "
        "it there, on the nodes too, or give --name"
    )


def configuration_of(settings: Settings, nodes: Sequence[Node], config: str) -> Configuration:
    """Return what this router's BIRD does among `nodes`; raise InvalidConfiguration."""
    facts = msgspec.structs.replace(node_facts(settings.node), subnets=connected_subnets())
    router = own_router(settings, config)
    return router_configuration(router, nodes, facts, settings.bgp, settings.cluster_cidrs)


def wanted_here(config: str, name: str = "") -> Configuration:
    """Return what BIRD is to do on this machine: as a router, where podnet.yaml, the file `config`, names it as one.

    Raises `PodnetError`.
    """
    paths = Paths(config=config)
    settings = node_settings(paths)
    settings = msgspec.structs.replace(settings, node=name or settings.node)
    nodes = list_nodes(settings, paths)
    if name or any(router.name == settings.node for router in settings.bgp.routers):
        return configuration_of(settings, nodes, config)
    own_node(nodes, settings.node)
    facts = node_facts(settings.node, uplink=settings.uplink, addresses=own_addresses(nodes, settings.node))
    wanted = speaking.configuration_of(settings, nodes, facts)
    assert wanted is not None  # noqa: S101 - own_node has found it
    return wanted


def router_settings(config: str, name: str, etcd: Mapping[str, str] = NO_ETCD) -> Settings:
    """Return podnet.yaml for a router called `name`, "" for the machine's own name; raise `PodnetError`.

    `etcd` goes over that section.
    """
    settings = with_etcd(read_settings(config, required=True), etcd)
    pods = msgspec.structs.replace(settings.pods, annotations=False)  # no pods here
    return msgspec.structs.replace(settings, node=name or settings.node, pods=pods)


class RouterDaemon:
    """Follows the nodes and has BIRD speak to them, until told to stop."""

    def __init__(self, paths: Paths, name: str = "", kubeconfig: str = "", etcd: Mapping[str, str] = NO_ETCD) -> None:
        """Begin to follow the nodes; raise `PodnetError`."""
        self._config = paths.config
        self._loop = Loop(Notifier())
        settings = router_settings(paths.config, name, etcd)
        _forward(own_router(settings, paths.config))
        self._settings, self._source = _source(settings, paths, kubeconfig)
        self._before: Configuration | None = None
        bgp = settings.bgp
        self._speaker = Speaker(Places(paths.bird), socket=bgp.socket, include=bgp.include)
        self._follow()
        self._loop.watch(self._source, self._readable)

    def serve(self) -> None:
        """Follow until :meth:`stop`."""
        Notifier().tell("READY=1", f"STATUS=routing for {len(self._source.nodes)} nodes")
        self._loop.run((), lambda: 0.0)

    def stop(self, *_: object) -> None:
        """End after what is being done now."""
        self._loop.stop()

    def close(self) -> None:
        """End, and leave BIRD as it is."""
        self._loop.close()
        self._speaker.close()
        self._source.close()

    def _readable(self) -> None:
        if self._source.changed():
            self._follow()

    def _follow(self) -> None:
        if self._source.error is not None:
            log.error("the nodes stay as they were: %s", describe(self._source.error))
        configuration = configuration_of(self._settings, self._source.nodes, self._config)
        if configuration != self._before:
            self._before = configuration
            self._speaker.follow(configuration)
            log.info("nodes: %d, sessions: %d", len(self._source.nodes), len(configuration.sessions))


def _forward(router: Router) -> None:
    """Have the kernel pass packets on, in the families in which this router is spoken to; raise `KernelError`."""
    versions = sorted({address.version for address in router.addresses})
    steps = (Step(Sysctl(at="node", name=FORWARDING[v], value="1"), "a router passes packets on") for v in versions)
    kernel = Kernel()
    try:
        kernel.apply(Plan.of(steps))
    finally:
        kernel.close()


def _source(settings: Settings, paths: Paths, kubeconfig: str) -> tuple[Settings, NodesSource]:
    found = open_source(settings, paths, kubeconfig, settings.node if kubeconfig else "", member=False)
    return msgspec.structs.replace(found.settings, node=settings.node), found.nodes


def run_router(paths: Paths, name: str = "", kubeconfig: str = "", etcd: Mapping[str, str] = NO_ETCD) -> int:
    """Serve as a router until SIGTERM or SIGINT; return the exit status.  This is `podnet router run`."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    daemon = RouterDaemon(paths, name, kubeconfig, etcd)
    signal.signal(signal.SIGTERM, daemon.stop)
    signal.signal(signal.SIGINT, daemon.stop)
    try:
        daemon.serve()
    finally:
        daemon.close()
    return 0
