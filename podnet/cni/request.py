"""Requests: what a frame asks for, parsed so that nothing after this can be wrong with what the caller said.

`parse` is the only constructor.  Every error a caller can make ends here, as the leaf of `podnet.errors` whose code the
specification names.  VERBS is the whole list of what podnet answers.
"""

from collections.abc import Callable
from errno import EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

import msgspec

from podnet.cni import result
from podnet.cni.capabilities import mac_of
from podnet.cni.configuration import Configuration, identify, requested_address, require_addresses
from podnet.cni.configuration import parse as parse_configuration
from podnet.cni.decoding import decode_as, stated_version
from podnet.cni.document import Survivors
from podnet.cni.frame import Frame
from podnet.cni.names import check_container, link_name_fault
from podnet.cni.versions import HIGHEST, UNSTATED, ordinal, supported
from podnet.errors import IncompatibleVersion, InvalidConfiguration, InvalidEnvironment, IOFailure, errno_text
from podnet.model import PLAIN, Attachment, KubernetesPod, Network, Terms

IPAddress = IPv4Address | IPv6Address


class _OfAttachment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every verb on an attachment has: `netns` is CNI_NETNS as text, `args` CNI_ARGS as a dictionary."""

    attachment: Attachment
    netns: str
    configuration: Configuration
    args: dict[str, str]

    @property
    def network(self) -> Network:
        """The attachment's network."""
        return self.configuration.network

    @property
    def version(self) -> str:
        """The version to answer in."""
        return self.configuration.cni_version


class Add(_OfAttachment, frozen=True, kw_only=True, gc=False):
    """Attach, with the `addresses` asked for; none: any will do.

    `previous` is what the plugins before podnet in a list have made; the result repeats it.
    """

    addresses: tuple[IPAddress, ...] = ()
    terms: Terms = PLAIN
    previous: result.Attached | None = None


class Check(_OfAttachment, frozen=True, kw_only=True, gc=False):
    """Compare with what ADD made, which `previous` states as the runtime got it."""

    previous: result.Attached


class Delete(_OfAttachment, frozen=True, kw_only=True, gc=False):
    """Detach.  `netns` is empty where the runtime has none any more.

    Of the configuration only what names the network is read: `network` is else the node's default one.
    """


class GC(msgspec.Struct, frozen=True, gc=False):
    """Free whatever of the network is not of the `valid` attachments, pairs of container and interface."""

    configuration: Configuration
    valid: frozenset[tuple[str, str]]

    @property
    def version(self) -> str:
        """The version to answer in."""
        return self.configuration.cni_version


class Status(msgspec.Struct, frozen=True, gc=False):
    """Ask whether an ADD of this configuration could be served."""

    configuration: Configuration

    @property
    def version(self) -> str:
        """The version to answer in."""
        return self.configuration.cni_version


class Version(msgspec.Struct, frozen=True, gc=False):
    """Ask which versions podnet speaks; the answer repeats `version`."""

    version: str


Request = Add | Check | Delete | GC | Status | Version


def parse(frame: Frame, defaults: Network) -> Request:
    """Return the request in `frame`; what its configuration leaves out comes from the node's `defaults`.

    Raise a RequestError for whatever the caller did wrong, and IOFailure where the machine could not open CNI_NETNS.
    """
    command = frame.environment.get("CNI_COMMAND", "")
    verb = VERBS.get(command)
    if verb is None:
        known = ", ".join(VERBS)
        if not command:
            raise InvalidEnvironment(f"CNI_COMMAND is not set: a runtime sets it to one of {known}")
        raise InvalidEnvironment(f"CNI_COMMAND {command[:80]!r} is not supported: podnet answers {known}")
    missing = [name for name in verb.required if not frame.environment.get(name)]
    if missing:
        raise InvalidEnvironment(f"{command} needs {', '.join(missing)}: set in the environment")
    return verb.parse(frame, defaults)


def version_of(frame: Frame) -> str:
    """Return the version to tell an error in: the configuration's, or the highest where it states none of podnet's."""
    stated = stated_version(frame.stdin)
    if stated is None:
        return HIGHEST
    stated = stated or UNSTATED
    return stated if supported(stated) else HIGHEST


def _add(frame: Frame, defaults: Network) -> Add:
    container, ifname = _attachment(frame)
    configuration = parse_configuration(frame.stdin, defaults)
    netns = _netns(frame)
    args = parse_args(_text(frame, "CNI_ARGS"))
    if configuration.role != "loopback":
        require_addresses(configuration)
        _check_address_count(configuration)
    return Add(
        attachment=Attachment(configuration.network.name, container, ifname),
        netns=netns,
        configuration=configuration,
        args=args,
        addresses=configuration.addresses or _addresses(args),
        terms=_terms(configuration.terms, args),
        previous=_previous(configuration),
    )


def _check(frame: Frame, defaults: Network) -> Check:
    container, ifname = _attachment(frame)
    configuration = parse_configuration(frame.stdin, defaults)
    _require_version(configuration.cni_version, "CHECK", "0.4.0")
    netns = _netns(frame)
    if not configuration.prev_result:
        raise InvalidConfiguration("CHECK needs prevResult: the runtime must send the result of the ADD in it")
    return Check(
        attachment=Attachment(configuration.network.name, container, ifname),
        netns=netns,
        configuration=configuration,
        args=parse_args(_text(frame, "CNI_ARGS")),
        previous=result.read(configuration.cni_version, configuration.prev_result),
    )


def _delete(frame: Frame, defaults: Network) -> Delete:
    """Fail only where it is not known what to delete."""
    container, ifname = _attachment(frame)
    configuration = identify(frame.stdin, defaults)
    try:
        args = parse_args(frame.environment.get("CNI_ARGS", ""))
    except InvalidEnvironment:
        args = {}
    return Delete(
        attachment=Attachment(configuration.network.name, container, ifname),
        netns=frame.environment.get("CNI_NETNS", ""),
        configuration=configuration,
        args=args,
    )


def _gc(frame: Frame, defaults: Network) -> GC:
    """Fail where it is not known what to keep: a list that is missing is no empty one."""
    configuration = identify(frame.stdin, defaults)
    _require_version(configuration.cni_version, "GC", "1.1.0")
    survivors = decode_as(frame.stdin, Survivors)
    valid = survivors.misprinted if survivors.valid is msgspec.UNSET else survivors.valid
    if valid is msgspec.UNSET:
        raise InvalidConfiguration(
            "GC needs cni.dev/valid-attachments: without it every attachment of the network would be freed; "
            "say [] where that is meant"
        )
    return GC(configuration, frozenset([(entry.container, entry.ifname) for entry in valid or ()]))


def _status(frame: Frame, defaults: Network) -> Status:
    configuration = parse_configuration(frame.stdin, defaults)
    _require_version(configuration.cni_version, "STATUS", "1.1.0")
    return Status(configuration)


def _require_version(version: str, verb: str, since: str) -> None:
    if ordinal(version) < ordinal(since):
        raise IncompatibleVersion(
            f"cniVersion {version} has no {verb}: it came with {since}, so write that or a higher one"
        )


def _version(frame: Frame, _: Network) -> Version:
    return Version(version_of(frame))


class Verb(NamedTuple):
    """What CNI_COMMAND may be: the variables it `required`s, and its parser."""

    required: tuple[str, ...]
    parse: Callable[[Frame, Network], Request]


_ATTACHMENT = ("CNI_CONTAINERID", "CNI_IFNAME")

VERBS: dict[str, Verb] = {
    "ADD": Verb((*_ATTACHMENT, "CNI_NETNS"), _add),
    "CHECK": Verb((*_ATTACHMENT, "CNI_NETNS"), _check),
    "DEL": Verb(_ATTACHMENT, _delete),
    "GC": Verb((), _gc),
    "STATUS": Verb((), _status),
    "VERSION": Verb((), _version),
}
"""SPEC.md, "CNI operations"."""


_KNOWN_ARGS = frozenset({"IgnoreUnknown", "IP", "MAC"})
_KUBERNETES = "K8S_POD_"


def parse_args(text: str) -> dict[str, str]:
    """Return CNI_ARGS, ``KEY=VALUE;KEY=VALUE``, as a dictionary.

    Raise InvalidEnvironment for a pair without ``=``, and, unless ``IgnoreUnknown=1`` stands beside it, for a key that
    is not IP or MAC and does not begin with K8S_POD_.
    """
    args: dict[str, str] = {}
    for pair in text.split(";"):
        if pair:
            key, equals, value = pair.partition("=")
            if not key or not equals:
                raise InvalidEnvironment(f"CNI_ARGS holds {pair[:80]!r}, which is not KEY=VALUE")
            args[key] = value
    ignore = args.get("IgnoreUnknown", "0").lower()
    if ignore not in ("0", "1", "false", "true"):
        raise InvalidEnvironment(f"CNI_ARGS: IgnoreUnknown={ignore[:80]!r} is neither 1, true, 0 nor false")
    if ignore in ("0", "false"):
        unknown = [key for key in args if key not in _KNOWN_ARGS and not key.startswith(_KUBERNETES)]
        if unknown:
            raise InvalidEnvironment(
                f"CNI_ARGS: {', '.join(unknown)[:80]} is unknown to podnet: leave it out, or add IgnoreUnknown=1"
            )
    return args


def _addresses(args: dict[str, str]) -> tuple[IPAddress, ...]:
    """Return the address CNI_ARGS asks for; ``args`` in the configuration go before it (CONVENTIONS.md, "CNI_ARGS")."""
    text = args.get("IP")
    if not text:
        return ()
    try:
        return (requested_address(text, "CNI_ARGS"),)
    except InvalidConfiguration as error:
        raise InvalidEnvironment(f"{error.msg}: write IP=10.1.2.3") from None


def _terms(terms: Terms, args: dict[str, str]) -> Terms:
    """Return `terms` with what CNI_ARGS add: the pod's name, and a MAC where the configuration names none."""
    if not args:
        return terms
    mac = args.get("MAC", "")
    if mac and not terms.mac:
        try:
            terms = msgspec.structs.replace(terms, mac=mac_of(mac, "CNI_ARGS MAC"))
        except InvalidConfiguration as error:
            raise InvalidEnvironment(error.msg) from None
    namespace, name = args.get("K8S_POD_NAMESPACE", ""), args.get("K8S_POD_NAME", "")
    if namespace or name:
        pod = KubernetesPod(namespace, name, args.get("K8S_POD_UID", ""))
        terms = msgspec.structs.replace(terms, pod=pod)
    return terms


def _previous(configuration: Configuration) -> result.Attached | None:
    if not configuration.prev_result:
        return None
    return result.read(configuration.cni_version, configuration.prev_result)


def _attachment(frame: Frame) -> tuple[str, str]:
    container = check_container(frame.environment["CNI_CONTAINERID"])
    ifname = _text(frame, "CNI_IFNAME")
    fault = link_name_fault(ifname)
    if fault:
        raise InvalidEnvironment(f"CNI_IFNAME {ifname[:80]!r} is no link's name: {fault}")
    return container, ifname


_NO_SUCH = frozenset({EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR})


def _netns(frame: Frame) -> str:
    netns = _text(frame, "CNI_NETNS")
    number = frame.netns_errno
    if not number:
        return netns
    told = f"CNI_NETNS {netns[:200]!r} could not be opened: {errno_text(number)}"
    if number in _NO_SUCH:
        raise InvalidEnvironment(f"{told}: give the path of a network namespace that is there, such as /run/netns/NAME")
    raise IOFailure(f"{told}: the machine lacks what opening a file takes")


def _text(frame: Frame, name: str) -> str:
    """Return a variable that must be text, since the result repeats it in JSON."""
    value = frame.environment.get(name, "")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidEnvironment(f"{name} {value[:80]!r} is not UTF-8: a result could not repeat it")
    return value


def _check_address_count(configuration: Configuration) -> None:
    """Until 0.2.0 a result holds one address per family (SPEC.md 0.2.0, "Result")."""
    if ordinal(configuration.cni_version) >= ordinal("0.3.0"):
        return
    families = [ranges[0].subnet.version for ranges in configuration.network.ranges]
    if len(families) > len(set(families)):
        raise InvalidConfiguration(
            f"cniVersion {configuration.cni_version} knows one address per family, "
            "and the network has more range sets: write 0.3.1 or higher"
        )
