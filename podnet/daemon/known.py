"""The nodes as they were told last, kept in a file: for a start without their source, and for whoever never asks it.

The file is there for as long as the daemon has its nodes from Kubernetes or etcd.  So that it is there tells the
one-shot, `podnet explain` and `podnet check` where the nodes are, and under which name this one is listed.
"""

import os
from contextlib import suppress
from ipaddress import ip_address, ip_network

import msgspec

from podnet.cluster import Settings, ToldBy
from podnet.errors import IOFailure, StateError
from podnet.model import Node


class Known(msgspec.Struct, frozen=True):
    """This node's name, and the nodes; `source` is the server that told them, which is of Kubernetes or etcd."""

    source: str
    node: str
    nodes: tuple[Node, ...]
    told_by: ToldBy = "kubernetes"

    def over(self, settings: Settings) -> Settings:
        """Return `settings` as they are where these are the nodes."""
        return remote(settings, self.node, self.told_by)


def remote(settings: Settings, node: str, told_by: ToldBy) -> Settings:
    """Return `settings` as they are where `told_by` tells the nodes, of which this one is called `node`.

    Pods have annotations with Kubernetes alone.
    """
    pods = settings.pods
    if told_by != "kubernetes":
        pods = msgspec.structs.replace(pods, annotations=False)
    return msgspec.structs.replace(settings, node=node, nodes="", told_by=told_by, pods=pods)


class _Node(msgspec.Struct, frozen=True, gc=False):
    name: str
    addresses: tuple[str, ...]
    pod_cidrs: tuple[str, ...]
    wireguard: str = ""
    pools: tuple[str, ...] = ()
    reflector: bool = False


class _File(msgspec.Struct, frozen=True):
    source: str
    node: str
    nodes: tuple[_Node, ...]
    told_by: ToldBy = "kubernetes"


def read_known(path: str) -> Known | None:
    """Return what the file at `path` has, None where there is no such file; raise StateError or IOFailure."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib's import takes longer
            found = msgspec.json.decode(file.read(), type=_File)
        nodes = tuple(
            Node(
                node.name,
                tuple(map(ip_address, node.addresses)),
                tuple(map(ip_network, node.pod_cidrs)),
                node.wireguard,
                tuple(map(ip_network, node.pools)),
                node.reflector,
            )
            for node in found.nodes
        )
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, ValueError) as error:
        raise StateError(f"{path} is not as the daemon writes it ({error}): remove it and start the daemon") from error
    except OSError as error:
        raise IOFailure(f"{path}: cannot be read: {error.strerror}; make it a file that root may read") from error
    return Known(found.source, found.node, nodes, found.told_by)


def keep_known(path: str, known: Known) -> None:
    """Make the file at `path` say that, in one step; raise IOFailure."""
    content = msgspec.json.encode(
        _File(
            known.source,
            known.node,
            tuple(
                _Node(
                    n.name,
                    tuple(map(str, n.addresses)),
                    tuple(map(str, n.pod_cidrs)),
                    n.wireguard,
                    tuple(map(str, n.pools)),
                    n.reflector,
                )
                for n in known.nodes
            ),
            known.told_by,
        )
    )
    temporary = f"{path}.tmp"
    try:
        with open(temporary, "wb") as file:  # noqa: PTH123 - as above
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)  # noqa: PTH104 - as above
    except OSError as error:
        raise IOFailure(f"{path}: cannot be written: {error.strerror}; see that its disk has room") from error


def forget_known(path: str) -> None:
    """Remove the file at `path`, if it is there; raise IOFailure."""
    try:
        for name in (path, f"{path}.tmp"):
            with suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108 - as above
    except OSError as error:
        raise IOFailure(f"{path}: cannot be removed: {error.strerror}; podnet must run as root") from error
