"""`podnet uninstall`: everything that is podnet's goes, in an order that loses no pod and no address on the way.

1. Look, and remove nothing: a daemon that systemd does not run must be ended by whoever runs it, and pods that are
   attached must go first, or be given up by --force.
2. The network's list goes, so runtimes attach no more pods; then the daemon ends.
3. Under the database's lock, where no one-shot works either: DELs that were spooled are carried out, pods are looked
   for once more, and the node's part goes.  Where that cannot be, list and daemon are put back.
4. Shim, loopback and unit go, and with --purge the database.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from podnet.daemon.install import LOOPBACK, PLUGIN, install_conflist, is_shim, remove_file
from podnet.daemon.known import forget_known
from podnet.daemon.node import NodeContext
from podnet.daemon.options import Options, keep_options
from podnet.daemon.paths import CONFLIST, Paths
from podnet.daemon.server import is_served
from podnet.errors import IOFailure, NodeNotReady
from podnet.inspection.configurations import folder as configurations
from podnet.inspection.files import Root
from podnet.installation import systemd, unit
from podnet.installation.did import Did
from podnet.kernel.facts import boot_id
from podnet.model import Lease
from podnet.oneshot import LOCK_SECONDS
from podnet.plan import Plan
from podnet.routing import Places, end
from podnet.store import Reader
from podnet.store.lock import holder

REMOVED, ABSENT, LEFT, STOPPED = "removed", "not there", "left", "stopped"
NAMED = 10
"""How many of the pods that are in the way an error names."""


def uninstall(paths: Paths, *, force: bool = False, purge: bool = False) -> Iterator[Did]:
    """Take podnet off this machine and tell each step as it is done; raise `PodnetError`."""
    managed = _managed(paths)
    kept = Path(paths.database).parent.exists()
    if kept and not force:
        _look_for_pods(paths)
    with _closed(paths, managed=managed) as content:
        yield _did(content is not None, f"{paths.cni_conf}/{CONFLIST}")
        if managed:
            yield Did(STOPPED, unit.NAME)
        node = NodeContext(paths, wait=LOCK_SECONDS)
        try:
            node.drain_spool()
            pods = node.store.live()
            if not force:
                _refuse_pods(pods)
            gone = node.engine.dismantle()
        finally:
            node.close()
    remark = told(gone) + (f", and {_number(len(pods), 'pod')} given up" if pods else "")
    yield Did(REMOVED if gone else ABSENT, "the node's part", remark)
    yield Did(LEFT, "/proc/sys/net", "forwarding is as podnet set it; others may rely on it")
    if end(Places(paths.bird)):
        yield Did(STOPPED, "podnet's BIRD", "and its routes to other nodes went with it")
    yield from _remove_files(paths)
    yield from _remove_state(paths, purge=purge or not kept)
    yield from _dependents(paths)


def told(gone: Plan) -> str:
    """Return of which objects the node's part consisted."""
    kinds: dict[str, int] = {}
    for step in gone.steps:
        kind = type(step.object).__name__.lower()
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(_number(count, kind) for kind, count in kinds.items())


def _managed(paths: Paths) -> bool:
    """Tell whether systemd runs the daemon; raise `IOFailure` where somebody else does."""
    managed = systemd.runs() and os.path.exists(unit.PATH)  # noqa: PTH110 - a str
    if not is_served(paths.socket) or (managed and systemd.main_process()):
        return managed
    process = holder(Path(paths.database))
    raise IOFailure(
        f"a daemon that systemd does not run, process {process}, serves {paths.socket}: end it where it was started "
        f"(`kill {process}`), then uninstall again; nothing was removed"
    )


def _look_for_pods(paths: Paths) -> None:
    """Raise `NodeNotReady` where pods are attached, DELs in the spool carried out first where no daemon runs."""
    if is_served(paths.socket):
        with Reader.read(Path(paths.database)) as reader:
            _refuse_pods([lease for lease in reader.live() if lease.boot_id == boot_id()])
        return
    node = NodeContext(paths, wait=LOCK_SECONDS)
    try:
        node.drain_spool()
        _refuse_pods(node.store.live())
    finally:
        node.close()


def _refuse_pods(leases: list[Lease]) -> None:
    """Raise `NodeNotReady` where pods are attached."""
    if not leases:
        return
    names = [f"{lease.attachment.container} ({lease.attachment.ifname})" for lease in leases]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    raise NodeNotReady(
        f"{_number(len(names), 'pod')} attached: {', '.join(names[:NAMED])}{more}; drain the node (`kubectl drain`, or "
        "`podnet del CONTAINER`) and uninstall again, or give them up with --force; nothing was removed"
    )


@contextmanager
def _closed(paths: Paths, *, managed: bool) -> Iterator[str | None]:
    """Take the network's list away, if it is podnet's, and end the daemon; put both back where the block fails.

    The list is given to the block, None where there was none.
    """
    path = Path(paths.cni_conf, CONFLIST)
    content = path.read_text(encoding="utf-8") if _is_ours(path) else None
    if content is not None:
        remove_file(paths.cni_conf, CONFLIST)
    try:
        if managed:
            systemd.tell("stop", unit.NAME)
        yield content
    except BaseException:
        if content is not None:
            install_conflist(paths.cni_conf, CONFLIST, content)
        if managed:
            systemd.tell("start", unit.NAME)
        raise


def _is_ours(path: Path) -> bool:
    """Tell whether the list at `path` has podnet in it: then it is podnet's, whatever was added to it."""
    try:
        document = msgspec.json.decode(path.read_bytes())
        return any(plugin["type"] == PLUGIN for plugin in document["plugins"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return False


def _remove_files(paths: Paths) -> Iterator[Did]:
    """Remove the shims and the unit."""
    for name in (PLUGIN, LOOPBACK):
        path = f"{paths.cni_bin}/{name}"
        stranger = os.path.lexists(path) and not is_shim(path)
        if stranger:
            yield Did(LEFT, path, "another's")
        else:
            yield _did(remove_file(paths.cni_bin, name), path)
    if systemd.runs() and os.path.exists(unit.PATH):  # noqa: PTH110 - a str
        systemd.tell("disable", unit.NAME)
    folder, name = unit.PATH.rsplit("/", 1)
    removed = remove_file(folder, name)
    if removed and systemd.runs():
        systemd.tell("daemon-reload")
    yield _did(removed, unit.PATH)


def _remove_state(paths: Paths, *, purge: bool) -> Iterator[Did]:
    """Remove the socket's folder and, to `purge`, the database's."""
    with suppress(OSError):  # not there, or not empty
        Path(paths.socket).unlink(missing_ok=True)
        Path(paths.socket).parent.rmdir()
    state = Path(paths.database).parent
    forget_known(paths.nodes)
    keep_options(paths.options, Options())
    if purge:
        shutil.rmtree(state, ignore_errors=True)
        yield _did(not state.exists(), str(state))
    else:
        yield Did(LEFT, str(state), "who had which address, and quarantines; --purge removes it")
    settings = Path(paths.config).parent
    if settings.exists():
        yield Did(LEFT, str(settings), "yours")


def _dependents(paths: Paths) -> Iterator[Did]:
    """Tell of configurations that name podnet and stay, since others wrote them."""
    for found in configurations(Root(), paths.cni_conf).configurations:
        if PLUGIN in found.plugins:
            yield Did("warning", found.path, "names podnet, and pods of it will fail: remove it if it is not needed")


def _did(removed: bool, place: str) -> Did:
    return Did(REMOVED if removed else ABSENT, place)


def _number(count: int, what: str) -> str:
    """Return `2 pods`: the number, and the word in its plural."""
    return f"{count} {what}{'' if count == 1 else 's'}"
