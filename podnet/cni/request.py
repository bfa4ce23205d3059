"""Requests: what a frame asks for, parsed so that nothing after this can be wrong with what the caller said.

`parse` is the only constructor.  Every error a caller can make ends here, as the leaf of `podnet.errors` whose code the
specification names.  VERBS is the whole list of what podnet answers; GC and STATUS (1.1.0) become a line each.
"""

from collections.abc import Callable
from errno import EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

import msgspec

from podnet.cni import result
from podnet.cni.configuration import Configuration, parse_leniently, requested_address
from podnet.cni.configuration import parse as parse_configuration
from podnet.cni.document import stated_version
from podnet.cni.frame import Frame
from podnet.cni.names import check_container, link_name_fault
from podnet.cni.versions import HIGHEST, UNSTATED, ordinal, supported
from podnet.errors import IncompatibleVersion, InvalidConfiguration, InvalidEnvironment, IOFailure, errno_text
from podnet.model import Attachment, Network

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
    """Attach, with the `addresses` asked for; none: any will do."""

    addresses: tuple[IPAddress, ...] = ()


class Check(_OfAttachment, frozen=True, kw_only=True, gc=False):
    """Compare with what ADD made, which `previous` states as the runtime got it."""

    previous: result.Attached


class Delete(_OfAttachment, frozen=True, kw_only=True, gc=False):
    """Detach.  `netns` is empty where the runtime has none any more.

    Where the configuration is no longer good, `network` is the node's default one under the configuration's name.
    """


class Version(msgspec.Struct, frozen=True, gc=False):
    """Ask which versions podnet speaks; the answer repeats `version`."""

    version: str


Request = Add | Check | Delete | Version


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
    _check_address_count(configuration)
    return Add(
        attachment=Attachment(configuration.network.name, container, ifname),
        netns=netns,
        configuration=configuration,
        args=args,
        addresses=configuration.addresses or _addresses(args),
    )


def _check(frame: Frame, defaults: Network) -> Check:
    container, ifname = _attachment(frame)
    configuration = parse_configuration(frame.stdin, defaults)
    if ordinal(configuration.cni_version) < ordinal("0.4.0"):
        raise IncompatibleVersion(
            f"cniVersion {configuration.cni_version} has no CHECK: it came with 0.4.0, so write that or a higher one"
        )
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
    configuration = parse_leniently(frame.stdin, defaults)
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
    "VERSION": Verb((), _version),
}
"""SPEC.md, "CNI operations".  Not yet: GC (`cni.dev/valid-attachments`, which `document` accepts) and STATUS."""


_KNOWN_ARGS = frozenset({"IgnoreUnknown", "IP"})
_KUBERNETES = "K8S_POD_"


def parse_args(text: str) -> dict[str, str]:
    """Return CNI_ARGS, ``KEY=VALUE;KEY=VALUE``, as a dictionary.

    Raise InvalidEnvironment for a pair without ``=``, and for a key that is neither IP nor begins with K8S_POD_ unless
    ``IgnoreUnknown=1`` stands beside it.
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
