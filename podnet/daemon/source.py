"""Where the daemon has its nodes from: the file that podnet.yaml names, or Kubernetes."""

import logging
import os
import random
from typing import NamedTuple

import msgspec

from podnet.cluster import NodesSource, NodesWatch, PodsSource, Settings
from podnet.daemon.known import forget_known, read_known
from podnet.daemon.options import read_options
from podnet.daemon.paths import Paths
from podnet.errors import InvalidConfiguration, StateError

FIRST_LIST = 3.0
"""Seconds that a first list is waited for at the start; pods are not served meanwhile."""

log = logging.getLogger("podnet")


class Source(NamedTuple):
    """The node's settings, the nodes and, where an API server tells them, its address, and this node's pods."""

    settings: Settings
    nodes: NodesSource
    server: str = ""
    pods: PodsSource | None = None


def open_source(settings: Settings, paths: Paths, kubeconfig: str = "", node: str = "") -> Source:
    """Begin to follow the cluster's nodes; raise `PodnetError`.

    Kubernetes tells them where a `kubeconfig` is given, and in a pod that has a service account and no nodes' list.
    There this node is called `node`, else as NODE_NAME in the environment, podnet.yaml or the machine has it.  The
    settings that are returned have the daemon's options in them.
    """
    settings = read_options(paths.options).over(settings)
    listed = os.path.exists(settings.nodes)  # noqa: PTH110 - a str
    if kubeconfig or not listed:
        found = _kubernetes(settings, paths, kubeconfig, node)
        if found is not None:
            return found
    if node:
        raise InvalidConfiguration(f"--node-name is for Kubernetes; with {settings.nodes} set `node` in {paths.config}")
    forget_known(paths.nodes)
    watch = NodesWatch(settings.nodes, settings.cluster_cidrs)
    if watch.error is not None and listed:
        raise watch.error
    return Source(settings, watch)


def _annotations(settings: Settings, paths: Paths) -> dict[str, str]:
    """Return what other nodes must know of this one and cannot derive: its key of WireGuard, with that backend."""
    if settings.backend != "wireguard":
        return {}
    from podnet.cluster.kubernetes.objects import WIREGUARD_KEY  # noqa: PLC0415 - only this backend needs it
    from podnet.daemon.key import own_public_key  # noqa: PLC0415 - likewise

    return {WIREGUARD_KEY: own_public_key(paths.key)}


def _kubernetes(settings: Settings, paths: Paths, kubeconfig: str, node: str) -> Source | None:
    """Return Kubernetes as the source, None where there is neither a `kubeconfig` nor a service account."""
    if not kubeconfig and not os.environ.get("KUBERNETES_SERVICE_HOST"):
        return None
    from podnet.cluster import kubernetes  # noqa: PLC0415 - 3 MiB and 40 ms that a nodes' list does not need

    if not kubeconfig and not kubernetes.in_a_pod(os.environ):
        return None
    access = kubernetes.read_kubeconfig(kubeconfig) if kubeconfig else kubernetes.service_account(os.environ)
    name = (node or os.environ.get("NODE_NAME") or settings.node).lower()  # names of Nodes are; kubelet does the same
    try:
        known = read_known(paths.nodes)
    except StateError as error:
        log.warning("the nodes that were known before are forgotten: %s", error.msg)
        known = None
    nodes = known.nodes if known and known.node == name else ()
    down = kubernetes.Backoff(random.random)
    own = _annotations(settings, paths)
    source = kubernetes.KubernetesNodes(access, name, nodes, settings.cluster_cidrs, own, down=down)
    pods = kubernetes.KubernetesPods(access, name, down=down) if settings.pods.annotations else None
    source.wait(FIRST_LIST)
    source.changed()
    return Source(msgspec.structs.replace(settings, node=name, nodes=""), source, access.server.url, pods)
