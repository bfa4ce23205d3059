"""The lab's etcd, where that tells the nodes: a real server at the router's address, and what nodes claimed in it."""

import shutil
import socket
import subprocess
import time
from ipaddress import IPv6Address

import msgspec

from podnet.cluster.etcd.access import Endpoints
from podnet.cluster.etcd.claiming import prefixes_of
from podnet.cluster.etcd.client import EtcdClient
from podnet.cluster.etcd.keys import decode_entry
from podnet.cluster.settings import Etcd
from podnet.errors import IOFailure, NodeNotReady
from podnet.lab import namespaces, record
from podnet.lab.topology import ETCD_PORT, IPAddress, Topology, etcd_address, etcd_url

PROGRAM = "etcd"
READY_WITHIN = 20.0
"""Seconds; it is ready in one."""
MOST = 10_000
"""Keys that a lab has at most."""


def start(lab: Topology) -> None:
    """Start etcd in the router's namespace and return when it answers; raise `IOFailure` or `NodeNotReady`."""
    if shutil.which(PROGRAM) is None:
        raise IOFailure("a lab with --source etcd needs etcd: `apt install etcd-server`")
    place, url = record.folder(lab.name) / "etcd", etcd_url(lab)
    place.mkdir(mode=0o700)
    words = [
        *("ip", "netns", "exec", lab.lan_namespace, PROGRAM, "--name", "lab", "--data-dir", str(place / "data")),
        *("--listen-client-urls", url, "--advertise-client-urls", url),
        *("--listen-peer-urls", "http://127.0.0.1:2380", "--unsafe-no-fsync"),
    ]
    with (place / "etcd.log").open("ab") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    (place / "etcd.pid").write_text(f"{process.pid}\n")
    deadline = time.monotonic() + READY_WITHIN
    while not _answers(lab, etcd_address(lab)):
        late = time.monotonic() > deadline
        if late or process.poll() is not None:
            lines = (place / "etcd.log").read_text(errors="replace").splitlines()
            raise NodeNotReady("the lab's etcd does not answer", "\n".join(lines[-20:]))
        time.sleep(0.02)


def _answers(lab: Topology, address: IPAddress) -> bool:
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    with namespaces.inside(lab.lan_namespace):
        probe = socket.socket(family, socket.SOCK_STREAM)
    with probe:
        probe.settimeout(1.0)
        return probe.connect_ex((str(address), ETCD_PORT)) == 0


def claimed(lab: Topology) -> Topology:
    """Return the lab with the pod CIDRs that its nodes have claimed; raise `PodnetError`."""
    client = EtcdClient(Endpoints(source="lab", urls=(etcd_url(lab),)), Etcd().prefix)
    try:
        with namespaces.inside(lab.lan_namespace):
            listed = client.list(MOST)
    finally:
        client.close()
    view = {client.key(kv.key): decode_entry(client.key(kv.key), kv) for kv in listed.kvs}
    nodes = tuple(msgspec.structs.replace(node, pod_cidrs=prefixes_of(view, node.name)) for node in lab.nodes)
    return msgspec.structs.replace(lab, nodes=nodes)
