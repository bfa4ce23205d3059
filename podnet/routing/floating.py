"""The floating routes in the kernel: laid before a BIRD starts, and taken away one by one as it has its own again."""

import time

from podnet.bird import (
    PROTOCOL_BIRD,
    PROTOCOL_FLOATING,
    RESTART_SECONDS,
    Configuration,
    copies,
    is_recovering,
    parse_routes,
    served,
    without,
)
from podnet.kernel import Kernel
from podnet.plan import Plan
from podnet.routing.control import Control


class Floating:
    """The floating routes of this machine; see :mod:`podnet.bird.floating`."""

    def __init__(self) -> None:
        """See which there are, of a daemon before; raise `PodnetError`."""
        self._kernel = Kernel()
        self._standing = self._kernel.routes(PROTOCOL_FLOATING)
        self._until = time.monotonic() + RESTART_SECONDS

    def __bool__(self) -> bool:
        """Tell whether any stand."""
        return bool(self._standing)

    def close(self) -> None:
        """Leave them as they are."""
        self._kernel.close()

    def lay(self) -> None:
        """Copy the routes that BIRD has left; raise `PodnetError`."""
        plan = copies(self._kernel.routes(PROTOCOL_BIRD), self._kernel.routes(PROTOCOL_FLOATING))
        if plan:
            self._kernel.apply(plan)
        self._standing = self._kernel.routes(PROTOCOL_FLOATING)
        self._until = time.monotonic() + RESTART_SECONDS

    def look(self, control: Control, configuration: Configuration) -> None:
        """Take those away that are needed no more; raise `PodnetError`."""
        self._standing = self._kernel.routes(PROTOCOL_FLOATING)
        if time.monotonic() > self._until:
            self.lift()
            return
        recovering = is_recovering(control.ask("show status").lines)
        heard = () if recovering else parse_routes(control.ask("show route primary where source = RTS_BGP").lines)
        given = {route.dst for route in self._kernel.routes(PROTOCOL_BIRD)}
        self._take(without(served(self._standing, configuration, given=given, heard=heard)))

    def lift(self) -> None:
        """Take all away; raise `PodnetError`."""
        self._take(without(self._standing))

    def _take(self, plan: Plan) -> None:
        if plan:
            self._kernel.dismantle(plan)
            self._standing = self._kernel.routes(PROTOCOL_FLOATING)
