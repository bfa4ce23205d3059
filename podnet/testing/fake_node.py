"""A node in memory: an engine over the fakes, with the few words that a test of it says over and over."""

from collections.abc import Sequence

from podnet.cni import GC, Add, Attached, Check, Configuration, Delete, Status
from podnet.engine import Engine, Job
from podnet.engine.ports import Namespace
from podnet.errors import PodnetError
from podnet.mesh import Mesh
from podnet.model import PLAIN, Attachment, Network, NodeFacts, Terms
from podnet.netlink.attributes import IPAddress
from podnet.plan import Object, Plan, Sysctl, key_of
from podnet.plan.objects import Key, Link
from podnet.testing.clock import ManualClock
from podnet.testing.kernel import FakeKernel
from podnet.testing.space import settled
from podnet.testing.store import MemoryStore
from podnet.testing.values import FACTS


class FakeNode:
    """`engine` over `kernel`, `store` and `clock`; the node's own part is built for `networks` where there are any.

    A pod is called by its container's name, and each has one namespace until :meth:`new_namespace` gives it another.
    """

    def __init__(self, *networks: Network, facts: NodeFacts = FACTS) -> None:
        """Begin with nothing but the node's own part."""
        self.kernel = FakeKernel(facts)
        self.store = MemoryStore(facts.boot_id)
        self.clock = ManualClock()
        self.facts = facts
        self.networks = networks
        self.mesh = Mesh()
        self.namespaces: dict[str, Namespace] = {}
        self.strangers = dict(self.kernel.node.objects)
        self.restart()
        if networks:
            self.reconcile()

    def restart(self) -> None:
        """Go on with a new engine over the kernel and the store that are there."""
        self.engine = Engine(self.facts, self.store, self.kernel, self.clock)

    def reconcile(self) -> Plan:
        """Bring the node to what it should be; return what had to be done."""
        return self.engine.reconcile(self.networks, self.facts, self.mesh)

    # Verbs

    def namespace(self, container: str) -> Namespace:
        """Return the pod's namespace, made where there is none."""
        if container not in self.namespaces:
            self.namespaces[container] = self.kernel.pod(container)
        return self.namespaces[container]

    def new_namespace(self, container: str) -> None:
        """End the pod's namespace as when the pod dies; the next is another."""
        self.kernel.end_pod(self.namespaces.pop(container))

    def job(
        self,
        container: str,
        network: Network | None = None,
        addresses: Sequence[IPAddress] = (),
        ifname: str = "eth0",
        terms: Terms = PLAIN,
    ) -> Job:
        """Return an ADD as the engine takes it."""
        namespace = self.namespace(container)
        network = network or self.networks[0]
        request = Add(
            attachment=Attachment(network.name, container, ifname),
            netns=namespace.path,
            configuration=Configuration(cni_version="1.1.0", network=network),
            args={},
            addresses=tuple(addresses),
            terms=terms,
        )
        return Job(request, namespace)

    def add(
        self,
        container: str,
        network: Network | None = None,
        addresses: Sequence[IPAddress] = (),
        terms: Terms = PLAIN,
    ) -> Attached:
        """ADD; raise where the engine says why not."""
        (outcome,) = self.engine.add([self.job(container, network, addresses, terms=terms)])
        if isinstance(outcome, PodnetError):
            raise outcome
        return outcome

    def delete(self, *containers: str, network: Network | None = None) -> None:
        """DEL, all in one batch."""
        network = network or self.networks[0]
        self.engine.delete(
            Delete(
                attachment=Attachment(network.name, container, "eth0"),
                netns="",
                configuration=Configuration(cni_version="1.1.0", network=network),
                args={},
            )
            for container in containers
        )

    def check(self, container: str, previous: Attached, network: Network | None = None) -> None:
        """CHECK against the result of the ADD."""
        namespace = self.namespace(container)
        network = network or self.networks[0]
        request = Check(
            attachment=Attachment(network.name, container, "eth0"),
            netns=namespace.path,
            configuration=Configuration(cni_version="1.1.0", network=network),
            args={},
            previous=previous,
        )
        self.engine.check(request, namespace)

    def gc(self, *valid: str, network: Network | None = None) -> None:
        """GC, which leaves `eth0` of the `valid` containers."""
        configuration = Configuration(cni_version="1.1.0", network=network or self.networks[0])
        self.engine.gc(GC(configuration, frozenset((container, "eth0") for container in valid)))

    def status(self, network: Network | None = None) -> None:
        """STATUS."""
        self.engine.status(Status(Configuration(cni_version="1.1.0", network=network or self.networks[0])))

    # What is there, and what ought to be

    def state(self) -> dict[Key, Object]:
        """Return what is in the node's namespace, without sysctls."""
        return {key: thing for key, thing in self.kernel.node.objects.items() if not isinstance(thing, Sysctl)}

    def desired(self) -> dict[Key, Object]:
        """Return what should be: the node's own part, the live leases', and what was there before."""
        node = self.engine.whole_plan()
        pods = (self.engine.node_side(lease) for lease in self.store.live())
        wanted = {key_of(thing): thing for thing in Plan.of(node, *pods).objects() if not isinstance(thing, Sysctl)}
        links = {key: settled(thing) if isinstance(thing, Link) else thing for key, thing in wanted.items()}
        return {**self.strangers, **links}

    def pod_state(self, container: str) -> dict[Key, Object]:
        """Return what is in a pod's namespace besides `lo` and sysctls."""
        objects = self.kernel.inside(self.namespace(container)).objects
        return {
            key: thing
            for key, thing in objects.items()
            if not isinstance(thing, Sysctl) and not (isinstance(thing, Link) and thing.name == "lo")
        }
