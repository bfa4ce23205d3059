"""BGP on this node: what BIRD is to do follows from the nodes, and is handed to the thread that sees to it."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from podnet.cluster import Settings
from podnet.daemon.paths import Paths
from podnet.model import Node, NodeFacts

if TYPE_CHECKING:
    from podnet.bird import Configuration
    from podnet.routing import Speaker


def configuration_of(settings: Settings, nodes: Sequence[Node], facts: NodeFacts) -> "Configuration | None":
    """Return what the BIRD of the node of `facts` does; None where the list does not have that node."""
    from podnet.mesh.bgp import node_configuration  # noqa: PLC0415 - only this backend needs it

    own = next((node for node in nodes if node.name == facts.name), None)
    return node_configuration(own, nodes, facts, settings.bgp, settings.cluster_cidrs) if own else None


def remarks(settings: Settings, nodes: Sequence[Node], facts: NodeFacts) -> Iterator[str]:
    """Yield what is to be said of the cluster's BGP."""
    if settings.backend == "bgp":
        from podnet.mesh import bgp  # noqa: PLC0415 - as above

        yield from bgp.remarks(nodes, facts, settings.bgp)


class Speaking:
    """Has BIRD speak where the backend is `bgp`; where it is another, sees that no BIRD of podnet's is left."""

    def __init__(self, settings: Settings, paths: Paths) -> None:
        """Begin with nothing said; raise `PodnetError` where an old BIRD does not end."""
        self._settings = settings
        self._before: Configuration | None = None
        self._speaker: Speaker | None = None
        if settings.backend != "bgp" and not os.path.isdir(paths.bird):  # noqa: PTH112 - pathlib's import takes longer
            return
        from podnet import routing  # noqa: PLC0415 - as above

        places = routing.Places(paths.bird)
        if settings.backend != "bgp" or settings.bgp.socket:
            routing.end(places)
        if settings.backend == "bgp":
            self._speaker = routing.Speaker(places, socket=settings.bgp.socket, include=settings.bgp.include)

    def follow(self, nodes: Sequence[Node], facts: NodeFacts) -> None:
        """Have BIRD do what follows from these."""
        if self._speaker is None:
            return
        configuration = configuration_of(self._settings, nodes, facts)
        if configuration is not None and configuration != self._before:
            self._before = configuration
            self._speaker.follow(configuration)

    def close(self) -> None:
        """End, and leave BIRD as it is."""
        if self._speaker is not None:
            self._speaker.close()
