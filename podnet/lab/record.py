"""A lab's record: what `up` wrote down so that `check`, `status`, `exec` and `add-node` know what there is.

Everything of the lab NAME is below /run/podnet-lab/NAME::

    lab.json            the record
    etc-podnet/         podnet.yaml and nodes.yaml: /etc/podnet of every node; with etcd n1/etc-podnet and so on
    etcd/               with --source etcd: its data, log and process id
    router/             with bgp: the same of the router, which has BIRD too
    n1/                 node n1: etc-cni, opt-cni, run and var-lib-podnet are /etc/cni, /opt/cni, … there
    n1/node.pid         the process that holds its mount and UTS namespaces
    n1/daemon.log       what its daemon said; n1/daemon.pid
"""

from ipaddress import ip_address, ip_network
from pathlib import Path

import msgspec

from podnet.errors import IOFailure
from podnet.lab.machine import RUN
from podnet.lab.namespaces import NAMED
from podnet.lab.topology import Datapath, Endpoint, IPAddress, LabNode, Source, Topology, endpoints, node
from podnet.model import Backend
from podnet.model.bgp import Profile


class NodeRecord(msgspec.Struct, frozen=True):
    """A node's number, how many pods it was given and, where it claimed them itself, its pod CIDRs."""

    number: int
    pods: int
    pod_cidrs: tuple[str, ...] = ()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What lab.json holds; `pods` are the addresses that ADD answered, by pod name (n1-red)."""

    name: str
    datapath: Datapath
    families: tuple[int, ...]
    backend: Backend
    profile: Profile = "graceful"
    source: Source = "nodes.yaml"
    nodes: tuple[NodeRecord, ...]
    pods: dict[str, tuple[str, ...]] = {}
    ready: bool = False

    @property
    def topology(self) -> Topology:
        """The lab that was recorded."""
        return Topology(
            name=self.name,
            datapath=self.datapath,
            families=self.families,
            backend=self.backend,
            profile=self.profile,
            source=self.source,
            nodes=tuple(map(self._node, self.nodes)),
        )

    def _node(self, recorded: NodeRecord) -> LabNode:
        made = node(recorded.number, recorded.pods, self.families, self.backend)
        cidrs = tuple(map(ip_network, recorded.pod_cidrs))
        return msgspec.structs.replace(made, pod_cidrs=cidrs) if cidrs else made

    @property
    def pod_addresses(self) -> dict[str, tuple[IPAddress, ...]]:
        """The addresses of each pod by name."""
        return {name: tuple(ip_address(a) for a in addresses) for name, addresses in self.pods.items()}

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Pods, nodes and the outside."""
        return endpoints(self.topology, self.pod_addresses)


def folder(name: str) -> Path:
    """Return the folder of everything of lab `name`."""
    return RUN / name


def write(lab: Topology, pods: dict[str, tuple[str, ...]], *, ready: bool) -> None:
    """Write lab.json, whole or not at all."""
    record = Record(
        name=lab.name,
        datapath=lab.datapath,
        families=lab.families,
        backend=lab.backend,
        profile=lab.profile,
        source=lab.source,
        nodes=tuple(NodeRecord(n.number, len(n.pods), _claimed(lab, n)) for n in lab.nodes),
        pods=pods,
        ready=ready,
    )
    write_whole(folder(lab.name) / "lab.json", msgspec.json.format(msgspec.json.encode(record)))


def _claimed(lab: Topology, node: LabNode) -> tuple[str, ...]:
    """Return the pod CIDRs that are not those of the topology."""
    return tuple(map(str, node.pod_cidrs)) if lab.source == "etcd" else ()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it or the one before: a watcher is told by the rename."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    temporary.rename(path)


def read(name: str) -> Record:
    """Return the record of lab `name`; raise `IOFailure` where there is none or `up` did not finish."""
    own = "" if name == "lab" else f" --name {name}"
    try:
        record = msgspec.json.decode((folder(name) / "lab.json").read_bytes(), type=Record)
    except FileNotFoundError as error:
        others = ", ".join(labs()) or "none"
        raise IOFailure(f"no lab {name!r} is up (labs here: {others}): `podnet lab up{own}` makes it") from error
    if not record.ready:
        raise IOFailure(f"lab {name!r} is half up or half down: `podnet lab down{own}`, then `podnet lab up{own}`")
    return record


def labs() -> list[str]:
    """Return the names of the labs of this machine."""
    try:
        return sorted(p.name for p in RUN.iterdir() if p.is_dir())
    except FileNotFoundError:
        return []


def pid(lab: Topology, node_name: str, file: str = "daemon.pid") -> int | None:
    """Return the process id of a node's daemon (or of the process in another `file`), or None if it does not run."""
    try:
        number = int((folder(lab.name) / node_name / file).read_text())
        alive = Path(f"/proc/{number}/ns/net").stat().st_ino == (NAMED / lab.namespace(node_name)).stat().st_ino
    except (OSError, ValueError):
        return None
    return number if alive else None
