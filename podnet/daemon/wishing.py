"""What pods wish for, as far as it is known: ADDs wait for it, within bounds, and are made of it.

The object of a pod is known by the watch before its kubelet asks for a sandbox, as a rule: the API server tells both at
once, and the kubelet has more to do.  So an ADD asks nobody; it looks its pod up, and seldom waits for the watch.  One
whose pod is not known in time is answered 11, since an address given instead of the one asked for could not be taken
back.  While the API server is away

- a pod that has been attached here before has what it had asked for then, as its leases tell;
- a pod of the kubelet's own files starts with what everybody gets: it may be what brings the API server back.  That it
  is one shows in its uid, which the kubelet makes of the file's hash: 32 digits and no dash;
- any other waits and is answered 11, until the server is back; the kubelet could not know of it either.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import structs

from podnet.cni import Add
from podnet.cni.wishes import concerns, wishes_of, with_wishes
from podnet.errors import AddressUnavailable, InvalidConfiguration, PodnetError, TryAgainLater
from podnet.model import KubernetesPod, NamedPool, Network

Annotations = Sequence[tuple[str, str]]


class Pods(Protocol):
    """The pods of this node as the API server tells of them; `error` is why they may be out of date."""

    error: PodnetError | None

    def find(self, pod: KubernetesPod) -> Annotations | None:
        """Return podnet's annotations of a pod, None where it is not known."""
        ...


class Past(Protocol):
    """What is remembered of pods that were here."""

    def pod(self, uid: str) -> KubernetesPod | None:
        """Return the pod of that uid as it was at its last ADD."""
        ...


class Wishing:
    """The wishes of `pods`, None where nobody tells of them now (the one-shot), and of those that the `past` knows."""

    def __init__(self, pods: Pods | None, past: Past, wait: float) -> None:
        """Let ADDs `wait` for so many seconds; `pools` are to be kept as they are on this node."""
        self.pools: Mapping[str, NamedPool] = {}
        self.seconds = wait
        self._pods = pods
        self._past = past

    def awaited(self, pod: KubernetesPod) -> bool:
        """Tell whether it is worth while to wait for `pod` to be known."""
        return self._pods is not None and self._known(pod) is None

    def granted(self, request: Add, default: Network) -> Add:
        """Return `request` with what its pod wishes for.

        Raises TryAgainLater where that is not known, and what :func:`podnet.cni.wishes.with_wishes` does.
        """
        pod = request.terms.pod
        if pod is None or not concerns(request, default):
            return request
        annotations = self._known(pod)
        if annotations is None:
            raise TryAgainLater(self._unknown(pod))
        if not annotations:
            return request
        terms = structs.replace(request.terms, pod=structs.replace(pod, annotations=tuple(annotations)))
        try:
            return with_wishes(structs.replace(request, terms=terms), wishes_of(annotations), self.pools)
        except (AddressUnavailable, InvalidConfiguration, TryAgainLater) as error:
            raise type(error)(f"pod {pod}: {error.msg}", error.details) from None

    def _known(self, pod: KubernetesPod) -> Annotations | None:
        """Return the annotations of `pod`, None where they are not known."""
        found = self._pods.find(pod) if self._pods is not None else None
        if found is not None or (self._pods is not None and self._pods.error is None):
            return found
        before = self._past.pod(pod.uid) if pod.uid else None
        if before is not None:
            return before.annotations
        return () if _of_a_file(pod) else None

    def _unknown(self, pod: KubernetesPod) -> str:
        uid = f" with uid {pod.uid}" if pod.uid else ""
        if self._pods is None:
            return f"pod {pod}{uid}: no daemon runs that would know what it asks for; see that podnet's runs"
        if self._pods.error is not None:
            return f"pod {pod}{uid} is not known, since pods are not: {self._pods.error.msg}"
        return (
            f"the API server has told of no pod {pod}{uid} on this node within {self.seconds:g} s; it is asked for "
            "again, or was deleted meanwhile"
        )


def explained(request: Add, error: PodnetError) -> PodnetError:
    """Return the `error` of an ADD with the pod and the annotation that it is due to, where it is due to one."""
    pod = request.terms.pod
    if pod is None or not pod.annotations or not isinstance(error, AddressUnavailable):
        return error
    return AddressUnavailable(f"pod {pod}: annotation {wishes_of(pod.annotations).where}: {error.msg}", error.details)


def pod_of(arguments: str) -> KubernetesPod | None:
    """Return the pod that CNI_ARGS name, None where they name none."""
    if "K8S_POD_" not in arguments:
        return None
    given = dict(pair.partition("=")[::2] for pair in arguments.split(";"))
    namespace, name = given.get("K8S_POD_NAMESPACE", ""), given.get("K8S_POD_NAME", "")
    return KubernetesPod(namespace, name, given.get("K8S_POD_UID", "")) if namespace or name else None


def _of_a_file(pod: KubernetesPod) -> bool:
    """Tell whether a kubelet gave `pod` its uid (pkg/kubelet/config, applyDefaults): an API server's has dashes."""
    return len(pod.uid) == 32 and not set(pod.uid) - set("0123456789abcdef")  # noqa: PLR2004 - MD5 in hexadecimal
