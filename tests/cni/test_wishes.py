"""What annotations of a pod ask for: parsed, beside a naive reading, and made into the request."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.cni import Add, Configuration
from podnet.cni.wishes import Wishes, concerns, wishes_of, with_wishes
from podnet.errors import AddressUnavailable, InvalidConfiguration, RequestError, TryAgainLater
from podnet.model import Attachment, NamedPool, Network, Range

IP, POOL = "podnet.dev/ip", "podnet.dev/pool"


def a_range(cidr: str, first: str = "", last: str = "") -> Range:
    """Return a range of a subnet, all of it where no bounds are given."""
    subnet = ip_network(cidr)
    return Range(
        subnet=subnet,
        first=ip_address(first) if first else subnet[1],
        last=ip_address(last) if last else subnet[-2],
        gateway=subnet[1],
    )


OWN4, OWN6 = a_range("10.244.1.0/24", last="10.244.1.191"), a_range("fd00:1::/64")
FIXED = a_range("10.244.1.0/24", first="10.244.1.192")
EGRESS = a_range("10.250.1.0/28")
DUAL = Network(name="podnet", ranges=((OWN4,), (OWN6,)))
POOLS = {
    "fixed": NamedPool("fixed", (FIXED,)),
    "egress": NamedPool("egress", (EGRESS,)),
    "far": NamedPool("far", (), ("10.251.0.0/24 is node n2's",)),
    "soon": NamedPool("soon", (), ("10.252.0.0/24 is not known to other nodes yet",), pending=True),
}


def an_add(network: Network = DUAL, **more: object) -> Add:
    """Return an ADD to `network`."""
    configuration = Configuration(cni_version="1.0.0", network=network, **more)  # type: ignore[arg-type] # a test's choice
    return Add(attachment=Attachment(network.name, "c", "eth0"), netns="/n", configuration=configuration, args={})


def test_what_a_pod_may_ask_for() -> None:
    """One address of each family, in either order and with spaces, and a pool; others' annotations pass by."""
    assert wishes_of([]) == Wishes() == wishes_of([("kubernetes.io/x", "y"), ("other.dev/ip", "nonsense")])
    four, six = ip_address("10.244.1.9"), ip_address("fd00:1::9")
    assert wishes_of([(IP, "10.244.1.9")]) == Wishes((four,))
    assert wishes_of([(IP, " fd00:1::9 , 10.244.1.9 "), (POOL, "fixed")]) == Wishes((six, four), "fixed")


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        ((IP, ""), "annotation podnet.dev/ip: '' is no IP address"),
        ((IP, "10.0.0.1,"), "annotation podnet.dev/ip: '' is no IP address"),
        ((IP, "10.0.0.1/24"), "'10.0.0.1/24' is no IP address"),
        ((IP, "10.0.0.1, 10.0.0.2"), "has two IPv4 addresses; keep one of each family"),
        ((IP, "fe80::1%eth0"), "names a link"),
        ((POOL, " "), "podnet.dev/pool is empty; name a pool"),
        (("podnet.dev/ips", "10.0.0.1"), "podnet.dev/ips is not known; known are podnet.dev/ip, podnet.dev/pool"),
    ],
)
def test_a_slip_is_named(annotation: tuple[str, str], told: str) -> None:
    """The annotation, what is wrong with it, and the remedy."""
    with pytest.raises(InvalidConfiguration) as caught:
        wishes_of([annotation])
    assert told in caught.value.msg


@given(st.lists(st.ip_addresses(), min_size=1, max_size=4), st.sampled_from([",", ", ", " ,  "]))
def test_addresses_are_read_as_they_are_written(addresses: list[IPv4Address | IPv6Address], comma: str) -> None:
    """Any addresses, one of a family, come back in their order; two of one family are refused."""
    text = comma.join(map(str, addresses))
    if len({found.version for found in addresses}) == len(addresses) and "%" not in text:
        assert wishes_of([(IP, text)]).addresses == tuple(addresses)
    else:
        with pytest.raises(InvalidConfiguration):
            wishes_of([(IP, text)])


@given(st.dictionaries(st.sampled_from([IP, POOL, "podnet.dev/", "x"]), st.text(max_size=20)))
def test_any_text_gives_wishes_or_a_clear_error(annotations: dict[str, str]) -> None:
    """Whatever a user writes, ADD has wishes or an error of the caller's that names the annotation."""
    try:
        wishes = wishes_of(annotations.items())
        assert with_wishes(an_add(), wishes, POOLS).addresses == wishes.addresses
    except (RequestError, TryAgainLater) as error:
        assert "annotation podnet.dev/" in error.msg  # noqa: PT017 - either outcome is right


def test_a_pool_takes_the_place_of_the_ranges_of_its_families() -> None:
    """A pool of IPv4 gives a dual-stack pod its IPv4 address; the other is of the node's own range."""
    request = with_wishes(an_add(), Wishes((), "egress"), POOLS)
    assert request.network.ranges == ((EGRESS,), (OWN6,))
    assert request.addresses == ()


def test_an_address_may_be_of_any_pool_that_is_not_named() -> None:
    """The pools' ranges stand behind the node's own, in the families that are asked for and no others."""
    wanted = (ip_address("10.250.1.3"),)
    request = with_wishes(an_add(), Wishes(wanted), POOLS)
    assert request.network.ranges == ((OWN4, FIXED, EGRESS), (OWN6,))
    assert request.addresses == wanted


def test_nothing_wished_for_is_the_same_request() -> None:
    """Also the same network, which caches know by identity."""
    request = an_add()
    assert with_wishes(request, Wishes(), POOLS).network is request.network


def test_what_a_runtime_asks_for_goes_first() -> None:
    """An address of runtimeConfig is kept."""
    request = an_add()
    asked = type(request)(
        attachment=request.attachment,
        netns="/n",
        configuration=request.configuration,
        args={},
        addresses=(ip_address("10.244.1.7"),),
    )
    assert with_wishes(asked, Wishes((ip_address("10.244.1.9"),)), POOLS).addresses == asked.addresses


@pytest.mark.parametrize(
    ("wishes", "error", "told"),
    [
        (
            Wishes((ip_address("10.9.9.9"),)),
            AddressUnavailable,
            "10.9.9.9 is not this node's to give (it has 10.244.1.1",
        ),
        (Wishes((ip_address("10.244.1.9"),), "fixed"), AddressUnavailable, "it has 10.244.1.192 to 10.244.1.254"),
        (Wishes((), "fixd"), InvalidConfiguration, "no pool 'fixd' (it has: egress, far, fixed, soon)"),
        (Wishes((), "far"), AddressUnavailable, "10.251.0.0/24 is node n2's; have the pod scheduled where"),
        (Wishes((), "soon"), TryAgainLater, "not known to other nodes yet"),
    ],
)
def test_what_cannot_be_had_says_why(wishes: Wishes, error: type[Exception], told: str) -> None:
    """The annotation, the ranges there are or whose the pool is, and the remedy."""
    with pytest.raises(error) as caught:
        with_wishes(an_add(), wishes, POOLS)
    assert told in str(caught.value)
    assert "annotation podnet.dev/" in str(caught.value)


def test_annotations_are_for_the_nodes_own_network() -> None:
    """Not for a further one of a pod, nor where another plugin gives the addresses, nor for `lo`."""
    assert concerns(an_add(), DUAL)
    assert not concerns(an_add(Network(name="other", ranges=DUAL.ranges)), DUAL)
    assert not concerns(an_add(delegate="host-local"), DUAL)
    assert not concerns(an_add(role="loopback"), DUAL)
