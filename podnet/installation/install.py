"""`podnet install`: shim, loopback and unit into their places, each whole; what is right already stays as it is.

The network's list is not among them: the daemon installs it when it can serve an ADD, since from then on runtimes count
the node as ready.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import podnet
from podnet.cluster import Settings, read_settings
from podnet.cni import render_conflist
from podnet.daemon.install import LOOPBACK, PLUGIN, install_file, install_loopback, install_shim
from podnet.daemon.paths import CONFLIST, Paths
from podnet.daemon.server import is_served
from podnet.inspection import rivals
from podnet.inspection.files import Root
from podnet.installation import systemd, unit
from podnet.installation.did import Did

INSTALLED, THERE, LEFT, NEXT, WARNING = "installed", "there already", "left", "next", "warning"


def install(paths: Paths, *, with_systemd: bool | None = None) -> Iterator[Did]:
    """Install podnet on this machine and tell each step as it is done; raise `PodnetError`.

    The unit is written `with_systemd`; None: where systemd is the init, and there the daemon is started too, or started
    anew where something has changed.
    """
    settings = read_settings(paths.config)  # an error in it is told before anything is done
    shim = paths.cni_bin, paths.socket, sys.executable, paths.spool
    changed = install_shim(*shim)
    yield _did(changed, f"{paths.cni_bin}/{PLUGIN}")
    loopback = install_loopback(*shim)
    remark = "another's; its pods' loopback interfaces are its own" if loopback is None else ""
    yield Did(LEFT if loopback is None else _did(loopback).deed, f"{paths.cni_bin}/{LOOPBACK}", remark)
    os.makedirs(paths.cni_conf, exist_ok=True)  # noqa: PTH103 - a str
    if with_systemd or (with_systemd is None and systemd.runs()):
        asks = bool(settings.etcd.endpoints)
        content = unit.unit(command(paths), read_paths(paths, settings), paths, podnet.__version__, asks=asks)
        folder, name = unit.PATH.rsplit("/", 1)
        written = install_file(folder, name, content)
        yield _did(written, unit.PATH)
        changed |= written
    yield from _start(paths, changed=changed, with_systemd=with_systemd)
    if not settings.etcd.endpoints and not Path(settings.nodes).exists():
        yield Did(NEXT, settings.nodes, "list the nodes in it: until then pods get addresses of their own ranges only")
    content = render_conflist(settings.network).decode()
    for rival in rivals(Root(), CONFLIST, content.encode(), paths.cni_conf, paths.cni_bin):
        yield Did(WARNING, rival.place, f"{rival.what}; {rival.remedy}")


def _start(paths: Paths, *, changed: bool, with_systemd: bool | None) -> Iterator[Did]:
    """Have systemd run the daemon, or tell what to do where it is not the init."""
    if with_systemd is not False and systemd.runs():
        systemd.tell("daemon-reload")
        systemd.tell("enable", unit.NAME)
        running = systemd.main_process() > 0
        systemd.tell("restart" if changed else "start", unit.NAME)
        yield Did(
            THERE if running and not changed else "started", unit.NAME, f"{paths.cni_conf}/{CONFLIST} is its work"
        )
    elif with_systemd:
        yield Did(NEXT, "systemctl enable --now podnet", "where this system is started by systemd")
    elif is_served(paths.socket):
        yield Did(THERE, paths.socket, "a daemon serves; after an upgrade end it and start the new one")
    else:
        yield Did(NEXT, " ".join(("podnet", *options(paths))), f"serves, and installs {paths.cni_conf}/{CONFLIST}")


def options(paths: Paths) -> list[str]:
    """Return the words after `podnet` that run the daemon with `paths`."""
    words = ["node", "run"]
    for option, given, usual in (
        ("--config", paths.config, Paths().config),
        ("--cni-conf-dir", paths.cni_conf, Paths().cni_conf),
        ("--cni-bin-dir", paths.cni_bin, Paths().cni_bin),
    ):
        words += [option, given] if given != usual else []
    return words


def command(paths: Paths) -> list[str]:
    """Return the command that runs the daemon: by this interpreter, isolated, as the shim runs the one-shot."""
    return [sys.executable, "-I", "-m", "podnet.cli", *options(paths)]


def read_paths(paths: Paths, settings: Settings) -> list[str]:
    """Return where the daemon, what it runs on and what it reads lie, links followed and not."""
    etcd = settings.etcd
    files = [path for path in (etcd.ca, etcd.cert, etcd.key, etcd.password_file) if path]
    found = (sys.executable, sys.prefix, sys.base_prefix, podnet.__file__, paths.config, *files)
    return [path for given in found for path in (given, os.path.realpath(given))]


def _did(changed: bool, place: str = "") -> Did:
    return Did(INSTALLED if changed else THERE, place)
