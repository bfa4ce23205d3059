"""The daemon's loop: one thread, one selector; between requests it reaps, and follows the nodes' list.

Plain `selectors` instead of asyncio: a request is a few hundred microseconds of work with nothing to wait for, and
the loop that gathers all requests that are ready is the one that serves them together.
"""

import gc
import logging
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType

from podnet.cluster import read_settings
from podnet.cni import render_conflist
from podnet.daemon.aliases import publish
from podnet.daemon.courses import Courses, Ended
from podnet.daemon.describe import describe
from podnet.daemon.install import before, install_conflist, install_loopback, install_shim
from podnet.daemon.known import Known, keep_known
from podnet.daemon.lookout import Lookout
from podnet.daemon.node import NodeContext
from podnet.daemon.notify import Notifier
from podnet.daemon.paths import CONFLIST, Paths
from podnet.daemon.reaping import Reaping
from podnet.daemon.server import Connection, Listener, is_served
from podnet.daemon.service import Answer, Call
from podnet.daemon.source import open_source
from podnet.errors import DecodeError, PodnetError
from podnet.model import Lease
from podnet.plan import Plan

GC_THRESHOLD = 20_000
"""Objects allocated beyond those freed before the collector looks at the young ones."""
TEND_IDLE = 30.0
"""Seconds without a request after which the database's housekeeping is done."""

ONESHOT_SECONDS = 2.0
"""How long one-shots that are at work are waited for; a daemon is not, since it does not end by itself."""

log = logging.getLogger("podnet")


class Daemon:
    """Serves one node until told to stop."""

    def __init__(self, paths: Paths, kubeconfig: str = "", node_name: str = "") -> None:
        """Build the node's part and listen; raise `PodnetError` where that fails, with nothing installed.

        `kubeconfig` and `node_name` are for nodes that Kubernetes tells.
        """
        self._paths = paths
        self._running = True
        self._last_request = time.monotonic()
        self._tended = True
        self._notifier = Notifier()
        self._installs = self._installed = False
        settings = read_settings(paths.config)
        self._node = NodeContext(paths, wait=0.0 if is_served(paths.socket) else ONESHOT_SECONDS, settings=settings)
        self._node.settings, self._source, self._server = open_source(settings, paths, kubeconfig, node_name)
        self._remarked: Sequence[str] = ()
        if self._source.remote:
            log.info("nodes: %d from %s, this is %s", len(self._source.nodes), self._server, self._node.settings.node)
            self._report()
        self._adopt()
        self._node.drain_spool()
        self._reaping = Reaping(self._node.engine)
        gc_settings = self._node.settings.gc
        self._lookout = Lookout(self._node.engine, self._node.store, gc_settings.interval, gc_settings.grace)
        self._courses = Courses()
        self._waiting: dict[tuple[str, str], list[Connection]] = {}
        self._unwanted: set[str] = set()
        self._complained: set[str] = set()
        self._named = -1
        self._listener = Listener(paths.socket)
        self._selector = selectors.EpollSelector()
        for source in (self._listener, self._source, self._courses):
            self._selector.register(source, selectors.EVENT_READ)

    def install(self) -> None:
        """Put shim and network list into the CNI folders, the list last: runtimes may call from then on.

        Where Kubernetes tells the nodes, that is when it has told this one's pod CIDR: runtimes count a node with the
        list as ready.
        """
        self._installs = True
        if self._source.remote and not self._node.network.ranges:
            name = self._node.settings.node
            known = any(node.name == name for node in self._node.nodes)
            lacks = "has no pod CIDR yet" if known else "is not among the Nodes (--node-name gives another name)"
            log.warning("node %s %s: the plugin is installed when it has a pod CIDR", name, lacks)
            return
        shim = self._paths.cni_bin, self._paths.socket, sys.executable, self._paths.spool
        install_shim(*shim)
        install_loopback(*shim)
        install_conflist(self._paths.cni_conf, CONFLIST, render_conflist(self._node.network.name).decode())
        for rival in before(self._paths.cni_conf, CONFLIST):
            log.warning(
                "%s/%s sorts before %s, and runtimes take the first: move it out of the folder if podnet is to serve; "
                "`podnet inspect` tells which one each runtime takes", self._paths.cni_conf, rival, CONFLIST,
            )  # fmt: skip

        self._installed = True
        self._source.serving()

    def serve(self) -> None:
        """Serve until :meth:`stop`."""
        wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker)
        self._selector.register(wake, selectors.EVENT_READ)
        self._notifier.tell("READY=1", f"STATUS=serving network {self._node.network.name}")
        try:
            self._give_back()
            self._between_requests()  # names to publish wait for no request
            while self._running:
                ready = self._selector.select(self._notifier.within(self._patience()))
                self._serve_ready([key.fileobj for key, _ in ready])
                self._between_requests()
                self._notifier.alive()
        finally:
            self._notifier.tell("STOPPING=1")
            signal.set_wakeup_fd(-1)
            os.close(wake)
            os.close(waker)

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End after what is being served now."""
        self._running = False

    def close(self) -> None:
        """Stop listening, and give the database to whoever comes next: that one reaps what is left."""
        self._listener.close()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, Connection):
                key.fileobj.close()
        self._selector.close()
        self._courses.close()
        self._source.close()
        self._node.close()

    def _serve_ready(self, ready: list[object]) -> None:
        """Read what came, and answer all frames that are whole together."""
        whole: list[Connection] = []
        for source in ready:
            if source is self._listener:
                for connection in self._listener.accept():
                    # The shim writes as soon as it is connected: most frames are there already.
                    if not self._read(connection, whole):
                        self._selector.register(connection, selectors.EVENT_READ)
            elif source is self._source:
                self._follow_nodes()
            elif source is self._courses:
                whole += self._end_courses(self._courses.ended())
            elif isinstance(source, Connection):
                before = len(whole)
                if self._read(source, whole) or len(whole) > before:
                    self._selector.unregister(source)
        if whole:
            self._answer(whole)

    def _read(self, connection: Connection, whole: list[Connection]) -> bool:
        """Read from `connection`; tell whether it needs no more reading: its frame is whole, or it is closed."""
        try:
            if not connection.read():
                return False
        except DecodeError as error:
            log.warning("a client was turned away: %s", error.msg)
            connection.close()
        else:
            whole.append(connection)
        return True

    def _answer(self, whole: list[Connection]) -> None:
        """Answer those that can be answered now, all together; let the others wait for a plugin, or for their turn."""
        ready: list[tuple[Connection, Call]] = []
        for connection in whole:
            call = connection.call
            if call is None:
                continue
            attachment = call.attachment
            if attachment in self._waiting:
                self._waiting[attachment].append(connection)
            elif call.delegates:
                if attachment is not None:
                    self._waiting[attachment] = []
                self._courses.begin(connection, self._node.service.course(call))
            else:
                ready.append((connection, call))
        answers = self._node.service.answer([call for _, call in ready])
        self._send([(connection, answer) for (connection, _), answer in zip(ready, answers, strict=True)])

    def _end_courses(self, ended: list[Ended]) -> list[Connection]:
        """Send what courses came to; return those who waited for them to end."""
        turns: list[Connection] = []
        for origin, answer in ended:
            if isinstance(origin, Connection):
                self._send([(origin, answer)])
                attachment = origin.call.attachment if origin.call else None
            else:
                self._note_return(origin, answer)
                attachment = _key(origin)
            turns += self._waiting.pop(attachment, []) if attachment else []
        return turns

    def _note_return(self, lease: Lease, answer: Answer) -> None:
        if answer.status:
            first = lease.link not in self._complained
            self._unwanted.add(lease.link)
            self._complained.add(lease.link)
            level = logging.WARNING if first else logging.DEBUG
            log.log(level, "%s: addresses are not given back yet: %s", lease.holder, answer.stdout.decode())
        else:
            self._complained.discard(lease.link)
            self._reaping.doom()

    def _send(self, answers: Sequence[tuple[Connection, Answer]]) -> None:
        """Send answers, undo the ADDs whose client has gone, and take note of what is to be done later."""
        unheard: list[Answer] = []
        for connection, answer in answers:
            if not connection.answer(answer):
                unheard.append(answer)
            connection.close()
            command = connection.call.command if connection.call else ""
            if answer.status:
                log.warning("%s: %s", command, answer.stdout.decode(errors="replace"))
            elif command in {"DEL", "GC"}:
                self._reaping.doom()
        if any(answer.added for answer in unheard):
            self._node.service.take_back(unheard)
            self._reaping.doom()
        self._last_request = time.monotonic()
        self._tended = False

    # Between requests

    def _patience(self) -> float | None:
        """Return how many seconds may pass without an event."""
        idle = time.monotonic() - self._last_request
        waits = (self._reaping.wait(idle), self._lookout.wait(idle), None if self._tended else TEND_IDLE)
        return min((wait for wait in waits if wait is not None), default=None)

    def _between_requests(self) -> None:
        idle = time.monotonic() - self._last_request
        if self._reaping.step(idle):
            self._give_back()
        if self._lookout.wait(idle) == 0.0:
            self._look()
        if self._named != self._node.engine.named:
            self._named = self._node.engine.named
            self._publish()
        if not self._tended and idle >= TEND_IDLE:
            self._node.store.tend(time.time())
            self._tended = True

    def _look(self) -> None:
        """See that nothing is left of pods that have gone, and give back what other plugins are owed."""
        if self._lookout.look():
            self._reaping.doom()
        self._unwanted.clear()
        self._give_back()

    def _give_back(self) -> None:
        """Set under way that other plugins have back what they are owed.

        An attachment that is being served is left alone, and what a plugin would not take waits for the next look.
        """
        for lease in self._node.engine.owed:
            if _key(lease) not in self._waiting and lease.link not in self._unwanted:
                self._waiting[_key(lease)] = []
                self._courses.begin(lease, self._node.service.give_back(lease))

    def _publish(self) -> None:
        try:
            publish(self._paths.aliases, self._node.store.live())
        except (OSError, PodnetError) as error:
            log.warning("aliases cannot be published in %s: %s", self._paths.aliases, error)

    # The nodes

    def _follow_nodes(self) -> None:
        if not self._source.changed():
            return
        self._report()
        if self._source.error is not None and self._source.nodes == self._node.nodes:
            return
        try:
            done = self._adopt()
            if self._installs and not self._installed:
                self.install()
        except PodnetError as error:
            log.warning("the nodes' list cannot be followed: %s", describe(error))
            return
        log.info("nodes: %d listed, %d changes made", len(self._node.nodes), len(done.steps))

    def _report(self) -> None:
        """Log what is amiss with the nodes' source."""
        for remark in self._source.remarks:
            if remark not in self._remarked:
                log.warning("%s", remark)
        self._remarked = self._source.remarks
        if self._source.error is not None:
            log.error("the nodes stay as they were: %s", describe(self._source.error))

    def _adopt(self) -> Plan:
        """Bring the node to what its source says, and keep that if it is remote; return what had to be done."""
        if self._source.remote:
            try:
                keep_known(self._paths.nodes, Known(self._server, self._node.settings.node, self._source.nodes))
            except PodnetError as error:
                log.warning("the nodes are not kept for a start without their source: %s", describe(error))
        before = self._node.unreached
        done = self._node.reload(self._source.nodes)
        for remark in self._node.unreached:
            if remark not in before:
                log.warning("%s", remark)
        return done


def _key(lease: Lease) -> tuple[str, str]:
    """Return what a lease and the requests about it have in common, as `Call.attachment` has it."""
    return lease.attachment.container, lease.attachment.ifname


def run(paths: Paths | None = None, *, install: bool = True, kubeconfig: str = "", node_name: str = "") -> int:
    """Serve the node until SIGTERM or SIGINT; return the exit status.  This is `podnet node run`.

    With PODNET_PROFILE=FILE in the environment the time spent serving is written there, for `python -m pstats`.
    """
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    daemon = Daemon(paths or Paths(), kubeconfig, node_name)
    signal.signal(signal.SIGTERM, daemon.stop)
    signal.signal(signal.SIGINT, daemon.stop)
    try:
        if install:
            daemon.install()
        # What serving allocates is small and short-lived: look for cycles seldom, and never in what start left.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        log.info("serving")
        _profiled(daemon.serve)
    finally:
        daemon.close()
    return 0


def _profiled(serve: Callable[[], None]) -> None:
    """Call `serve`, under cProfile where PODNET_PROFILE asks for it."""
    target = os.environ.get("PODNET_PROFILE")
    if not target:
        serve()
        return
    import cProfile  # noqa: PLC0415 - whoever does not ask does not wait for it

    with cProfile.Profile() as profile:
        serve()
    profile.dump_stats(target)
