"""Where the daemon has its nodes from: the file that podnet.yaml names, Kubernetes, or etcd."""

import logging
import os
import random
from typing import NamedTuple

from podnet.cluster import NodesSource, NodesWatch, PodsSource, Settings, ToldBy
from podnet.daemon.known import forget_known, read_known, remote
from podnet.daemon.options import read_options
from podnet.daemon.paths import Paths
from podnet.errors import InvalidConfiguration, StateError
from podnet.kernel.facts import boot_id, node_facts
from podnet.model import Node

FIRST_LIST = 3.0
"""Seconds that a first list is waited for at the start; pods are not served meanwhile."""

log = logging.getLogger("podnet")


class Source(NamedTuple):
    """The node's settings, the nodes and, where a server tells them, its address, and with Kubernetes its pods."""

    settings: Settings
    nodes: NodesSource
    server: str = ""
    pods: PodsSource | None = None


def open_source(
    settings: Settings, paths: Paths, kubeconfig: str = "", node: str = "", *, member: bool = True
) -> Source:
    """Begin to follow the cluster's nodes; raise `PodnetError`.

    etcd tells them where the settings have its endpoints.  Kubernetes tells them where a `kubeconfig` is given, and in
    a pod that has a service account and no nodes' list.  There this node is called `node`, else as NODE_NAME in the
    environment (with Kubernetes), podnet.yaml or the machine has it.  The settings that are returned have the daemon's
    options in them.  Who is not a `member` follows the nodes and is none of them.
    """
    settings = read_options(paths.options).over(settings)
    if settings.etcd.endpoints:
        if kubeconfig:
            raise InvalidConfiguration("--kubeconfig and etcd both tell the nodes; keep one")
        return _etcd(settings, paths, node, member=member)
    listed = os.path.exists(settings.nodes)  # noqa: PTH110 - a str
    if kubeconfig or not listed:
        found = _kubernetes(settings, paths, kubeconfig, node)
        if found is not None:
            return found
    if node:
        raise InvalidConfiguration(
            f"--node-name is for Kubernetes and etcd; with {settings.nodes} set `node` in {paths.config}"
        )
    forget_known(paths.nodes)
    watch = NodesWatch(settings.nodes, settings.cluster_cidrs)
    if watch.error is not None and listed:
        raise watch.error
    return Source(settings, watch)


def _own_key(settings: Settings, paths: Paths) -> str:
    """Return what other nodes must know of this one and cannot derive: its key of WireGuard, with that backend."""
    if settings.backend != "wireguard":
        return ""
    from podnet.daemon.key import own_public_key  # noqa: PLC0415 - only this backend needs it

    return own_public_key(paths.key)


def _known(paths: Paths, name: str, told_by: ToldBy) -> tuple[Node, ...]:
    """Return the nodes that `told_by` told before, where it told them the node `name`."""
    try:
        known = read_known(paths.nodes)
    except StateError as error:
        log.warning("the nodes that were known before are forgotten: %s", error.msg)
        return ()
    return known.nodes if known and (known.node, known.told_by) == (name, told_by) else ()


def _etcd(settings: Settings, paths: Paths, node: str, *, member: bool) -> Source:
    """Return etcd as the source."""
    from podnet.cluster import etcd  # noqa: PLC0415 - 3 MiB and 40 ms that a nodes' list does not need

    name, asked = node or settings.node, settings.etcd
    endpoints = etcd.Endpoints(
        source=f"{paths.config}: etcd",
        urls=asked.endpoints,
        ca=asked.ca,
        cert=asked.cert,
        key=asked.key,
        user=asked.user,
        password_file=asked.password_file,
    )
    down = etcd.Backoff(random.random)
    if not member:
        nodes = etcd.EtcdNodes(endpoints, asked.prefix, settings.cluster_cidrs, down=down)
        nodes.begin()
        nodes.wait(FIRST_LIST)
        nodes.changed()
        return Source(remote(settings, name, "etcd"), nodes, ",".join(asked.endpoints))
    own = etcd.Self(
        name=name,
        boot=boot_id(),
        wireguard=_own_key(settings, paths),
        reflector=asked.route_reflector,
        addresses=lambda: node_facts(name, uplink=settings.uplink).addresses,
    )
    sizes = asked.node_cidr_mask_size_ipv4, asked.node_cidr_mask_size_ipv6
    source = etcd.EtcdMember(
        endpoints,
        asked.prefix,
        etcd.cluster_range(settings.cluster_cidrs, *sizes, source=paths.config),
        own,
        _known(paths, name, "etcd"),
        grace=asked.grace,
        down=down,
    )
    source.begin()
    source.wait(FIRST_LIST)
    source.changed()
    if source.refusal is not None:
        source.close()
        raise source.refusal
    return Source(remote(settings, name, "etcd"), source, ",".join(asked.endpoints))


def _kubernetes(settings: Settings, paths: Paths, kubeconfig: str, node: str) -> Source | None:
    """Return Kubernetes as the source, None where there is neither a `kubeconfig` nor a service account."""
    if not kubeconfig and not os.environ.get("KUBERNETES_SERVICE_HOST"):
        return None
    from podnet.cluster import kubernetes  # noqa: PLC0415 - 3 MiB and 40 ms that a nodes' list does not need

    if not kubeconfig and not kubernetes.in_a_pod(os.environ):
        return None
    access = kubernetes.read_kubeconfig(kubeconfig) if kubeconfig else kubernetes.service_account(os.environ)
    name = (node or os.environ.get("NODE_NAME") or settings.node).lower()  # names of Nodes are; kubelet does the same
    nodes = _known(paths, name, "kubernetes")
    down = kubernetes.Backoff(random.random)
    key = _own_key(settings, paths)
    own = {kubernetes.WIREGUARD_KEY: key} if key else {}
    source = kubernetes.KubernetesNodes(access, name, nodes, settings.cluster_cidrs, own, down=down)
    pods = kubernetes.KubernetesPods(access, name, down=down) if settings.pods.annotations else None
    source.wait(FIRST_LIST)
    source.changed()
    return Source(remote(settings, name, "kubernetes"), source, access.server.url, pods)
