"""What a runtime asks for one pod: host ports, bandwidth, a MAC, aliases, name servers, and the pod's name."""

import json
import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podnet.cni import Add, Frame, Status, parse
from podnet.errors import DecodingFailure, InvalidConfiguration, InvalidEnvironment, RequestError
from podnet.model import DNS, PLAIN, Bandwidth, KubernetesPod, Network, PortMapping, Rate, Terms

MakeFrame = Callable[..., Frame]
# The fixtures are constants.
shared_values = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def added(make_frame: MakeFrame, defaults: Network) -> Callable[..., Add]:
    """Return a parser of ADDs with these keys in ``runtimeConfig``."""

    def add(*, args: dict[str, Any] | None = None, cni_args: str = "", **runtime: Any) -> Add:
        keys = {"runtimeConfig": runtime, **({"args": {"cni": args}} if args else {})}
        request = parse(make_frame(keys, CNI_ARGS=cni_args), defaults)
        assert isinstance(request, Add)
        return request

    return add


Added = Callable[..., Add]


def test_nothing_asked_for_are_plain_terms(added: Added) -> None:
    """An empty runtimeConfig, nulls and empty lists, unknown capabilities."""
    for runtime in (
        {},
        dict.fromkeys(["portMappings", "bandwidth", "mac", "dns", "aliases", "ips", "ipRanges"]),
        {"portMappings": [], "aliases": [], "mac": "", "bandwidth": {}, "infinibandGUID": "x"},
    ):
        assert added(**runtime).terms == PLAIN


def test_podman_s_and_containerd_s_port_mappings_are_taken(added: Added) -> None:
    """A hostIP left out or empty is any address, a protocol left out TCP, in any case; hostPort 0 asks for nothing."""
    terms = added(
        portMappings=[
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""},
            {"hostPort": 8443, "containerPort": 443},
            {"hostPort": 5353, "containerPort": 53, "protocol": "UDP", "hostIP": "192.0.2.7"},
            {"hostPort": 5353, "containerPort": 53, "protocol": "SCTP", "hostIP": "::"},
            {"hostPort": 0, "containerPort": 9000, "protocol": "tcp"},
            {"containerPort": 9001, "hostPort": None, "name": "unknown keys pass by"},
            {"hostPort": 8443, "containerPort": 443, "protocol": "tcp"},
        ]
    ).terms
    assert terms.ports == (
        PortMapping("tcp", 8080, 80),
        PortMapping("tcp", 8443, 443),
        PortMapping("udp", 5353, 53, IPv4Address("192.0.2.7")),
        PortMapping("sctp", 5353, 53, IPv6Address("::")),
    )
    assert [str(port) for port in terms.ports] == ["8080/tcp", "8443/tcp", "192.0.2.7:5353/udp", "[::]:5353/sctp"]


def test_every_capability_reaches_the_terms(added: Added) -> None:
    """Beside each other, with the pod's name from CNI_ARGS; the network is none the other for it."""
    request = added(
        cni_args="IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=7-8",
        mac="0A-58-0A-F4-01-02",
        aliases=["web", "web.shop", "_sip._tcp", "web"],
        dns={"servers": ["10.96.0.10", "fd00::10"], "searches": ["svc"], "options": ["ndots:5"], "more": 1},
        bandwidth={"ingressRate": 8_000_000, "ingressBurst": 16_000_000, "egressRate": 80_000_000},
        ips=["10.244.1.9/24"],
    )
    assert request.terms == Terms(
        mac="0a:58:0a:f4:01:02",
        aliases=("web", "web.shop", "_sip._tcp"),
        dns=DNS(("10.96.0.10", "fd00::10"), "", ("svc",), ("ndots:5",)),
        bandwidth=Bandwidth(ingress=Rate(1_000_000, 2_000_000), egress=Rate(10_000_000, 200_000)),
        pod=KubernetesPod("shop", "web-0", "7-8"),
    )
    assert request.addresses == (IPv4Address("10.244.1.9"),)
    assert request.network == added().network


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"portMappings": [{"hostPort": 80, "containerPort": 0}]}, "portMappings[0].containerPort: 0 is no port"),
    ({"portMappings": [{"hostPort": 80}]}, "portMappings[0].containerPort: 0 is no port: write 1 to 65535"),
    ({"portMappings": [{"hostPort": 65536, "containerPort": 1}]}, "portMappings[0].hostPort: 65536 is no port"),
    ({"portMappings": [{"hostPort": -1, "containerPort": 1}]}, "hostPort: -1 is no port"),
    (
        {"portMappings": [{"hostPort": 80, "containerPort": 1, "protocol": "icmp"}]},
        "portMappings[0].protocol: 'icmp' is none of tcp, udp, sctp",
    ),
    (
        {"portMappings": [{"hostPort": 80, "containerPort": 1, "hostIP": "localhost"}]},
        "portMappings[0].hostIP: 'localhost' is no IP address",
    ),
    (
        {"portMappings": [{"hostPort": 80, "containerPort": 1}, {"hostPort": 80, "containerPort": 2}]},
        "portMappings[1]: host port 80/tcp leads to the pod's port 1 already, and cannot lead to 2 too: drop one",
    ),
    (
        {
            "portMappings": [
                {"hostPort": 80, "containerPort": 1, "hostIP": "::"},
                {"hostPort": 80, "containerPort": 2, "hostIP": ""},
            ]
        },
        "portMappings[1]: host port 80/tcp leads to the pod's port 1 already",
    ),
    ({"portMappings": [{"hostPort": 80, "containerPort": 1}] * 1001}, "portMappings has 1001 entries: at most 1000"),
    ({"portMappings": {}}, "$.runtimeConfig.portMappings: expected array"),
    ({"portMappings": [{"hostPort": "80", "containerPort": 80}]}, "portMappings[0].hostPort: expected integer"),
    ({"bandwidth": {"ingressRate": 999}}, "bandwidth.ingressRate: 999 bits per second is out of range: write 1000 to"),
    ({"bandwidth": {"egressRate": (1 << 40) + 1}}, "bandwidth.egressRate: 1099511627777 bits per second"),
    ({"bandwidth": {"egressRate": -8}}, "bandwidth.egressRate: -8 bits"),
    ({"bandwidth": {"ingressBurst": 8}}, "bandwidth.ingressBurst: 8 without a rate limits nothing: add ingressRate"),
    ({"bandwidth": {"egressRate": 8000, "egressBurst": -8}}, "bandwidth.egressBurst: -8 is no number of bits"),
    ({"bandwidth": {"egressRate": 8000.5}}, "$.runtimeConfig.bandwidth.egressRate: expected integer"),
    ({"mac": "0a:58:0a:f4:01"}, "runtimeConfig.mac: '0a:58:0a:f4:01' is no MAC address: write six octets"),
    ({"mac": "0a:58:0a:f4:01:0g"}, "is no MAC address"),
    ({"mac": "01:00:5e:00:00:01"}, "runtimeConfig.mac: 01:00:5e:00:00:01 is no single link's address"),
    ({"mac": "00:00:00:00:00:00"}, "multicast or all zero"),
    ({"aliases": ["web", "a b"]}, "runtimeConfig.aliases[1]: 'a b' is no host name: letters, digits"),
    ({"aliases": [""]}, "aliases[0]: '' is no host name"),
    ({"aliases": ["-a"]}, "'-a' is no host name"),
    ({"aliases": ["a..b"]}, "'a..b' is no host name"),
    ({"aliases": ["a\n10.0.0.1 b"]}, "is no host name"),
    ({"aliases": ["\N{LATIN SMALL LETTER LONG S}"]}, "is no host name"),
    ({"aliases": ["\N{KELVIN SIGN}"]}, "is no host name"),
    ({"aliases": ["a" * 64]}, "is no host name"),
    ({"aliases": ["a." * 127]}, "is no host name"),
    ({"aliases": ["a"] * 1001}, "runtimeConfig.aliases has 1001 entries"),
    ({"dns": {"servers": ["ns.example"]}}, "dns.nameservers[0]: 'ns.example' is no IP address"),
    ({"dns": {"servers": "10.0.0.1"}}, "$.runtimeConfig.dns.servers: expected array"),
]


@pytest.mark.parametrize("before", [False, True], ids=["first", "after a good one"])
@pytest.mark.parametrize(("runtime", "message"), REFUSALS, ids=[message[:40] for _, message in REFUSALS])
def test_what_cannot_be_had_is_refused_with_its_place(
    added: Added, runtime: dict[str, Any], message: str, *, before: bool
) -> None:
    """Error 7, naming the entry and the remedy, whether or not the rest of the configuration was seen before."""
    if before:
        added(portMappings=[])
    with pytest.raises(InvalidConfiguration, match=re.escape(message)) as refusal:
        added(**runtime)
    assert len(refusal.value.msg) < 300


def test_one_place_named_twice_is_one_host_port(added: Added) -> None:
    """0.0.0.0 and :: beside each other are two; each beside no address at all is a part of that."""

    def ports(*addresses: str) -> tuple[PortMapping, ...]:
        entries = [{"hostPort": 80, "containerPort": 8080, "hostIP": address} for address in addresses]
        return added(portMappings=entries).terms.ports

    assert len(ports("0.0.0.0", "::")) == 2  # noqa: S104 - a test's value
    assert {port.only_at for port in ports("0.0.0.0", "::", "")} == {None}  # noqa: S104
    assert len(ports("192.0.2.1", "192.0.2.2", "192.0.2.1", "")) == 3


PORTS = st.fixed_dictionaries(
    {"hostPort": st.integers(-5, 70000), "containerPort": st.integers(-5, 70000)},
    optional={
        "protocol": st.sampled_from(["tcp", "udp", "sctp", "TCP", "icmp", ""]),
        "hostIP": st.ip_addresses().map(str) | st.sampled_from(["", "0.0.0.0", "::", "x"]),  # noqa: S104
    },
)


def is_port(number: int) -> bool:
    """Tell whether `number` is a port."""
    return 1 <= number <= 65535


@shared_values
@given(entries=st.lists(PORTS, max_size=4))
def test_ports_are_those_asked_for_or_refused(added: Added, entries: list[dict[str, Any]]) -> None:
    """Each entry that asks for a port comes back with its numbers, once; what no socket could have is refused."""
    asked = [e for e in entries if e["hostPort"]]
    good = all(
        is_port(e["hostPort"])
        and is_port(e["containerPort"])
        and e.get("protocol", "").lower() in {"", "tcp", "udp", "sctp"}
        and e.get("hostIP") != "x"
        for e in asked
    )
    try:
        ports = added(portMappings=entries).terms.ports
    except InvalidConfiguration:
        assert not good or len(asked) > 1
        return
    assert good
    assert {(p.protocol, p.host_port, p.container_port, p.host_ip) for p in ports} == {
        (
            (e.get("protocol") or "tcp").lower(),
            e["hostPort"],
            e["containerPort"],
            ip_address(e["hostIP"]) if e.get("hostIP") else None,
        )
        for e in asked
    }
    assert len(set(ports)) == len(ports)


BITS = st.none() | st.integers(-10, 1 << 33) | st.sampled_from([(1 << 31) - 1, (1 << 32) - 1, 1 << 41, 1000, 8])


@shared_values
@given(rate=BITS, burst=BITS, way=st.sampled_from(["ingress", "egress"]))
def test_a_rate_is_kept_in_bytes_with_a_burst_that_works(
    added: Added, rate: int | None, burst: int | None, way: str
) -> None:
    """Between what a veth's largest packet needs and what the scheduler's 32 bits of ticks can hold."""
    try:
        terms = added(bandwidth={f"{way}Rate": rate, f"{way}Burst": burst}).terms
    except InvalidConfiguration:
        unbounded = burst is not None and burst >= (1 << 31) - 1
        assert (not rate and burst and not unbounded) or (rate and not 1000 <= rate <= 1 << 40) or (burst or 0) < 0
        return
    limit, other = terms.bandwidth.ingress, terms.bandwidth.egress
    if way == "egress":
        limit, other = other, limit
    assert other is None
    if not rate:
        assert limit is None
        return
    assert limit is not None
    assert limit.rate == rate // 8
    assert limit.burst * 1_000_000_000 // (64 * limit.rate) < 1 << 32, "64 ns ticks to earn it"
    if burst and 1 << 20 <= burst < (1 << 31) - 1 and limit.rate >= 1 << 20:
        assert limit.burst == burst // 8
    if limit.rate >= 1 << 20:
        assert limit.burst >= 1 << 17


OCTETS = st.binary(min_size=6, max_size=6)


@shared_values
@given(octets=OCTETS, separator=st.sampled_from([":", "-"]), upper=st.booleans())
def test_a_mac_is_taken_in_any_spelling(added: Added, octets: bytes, separator: str, *, upper: bool) -> None:
    """It is told as the kernel tells it; a multicast one, and none at all, no link can have."""
    text = octets.hex(separator)
    text = text.upper() if upper else text
    if octets[0] & 1 or not any(octets):
        with pytest.raises(InvalidConfiguration, match="single link"):
            added(mac=text)
    else:
        assert added(mac=text).terms.mac == octets.hex(":")


def test_a_mac_is_asked_for_in_three_places(added: Added) -> None:
    """What runtimeConfig says goes before args, and CNI_ARGS come last; each is checked, and told by its name."""
    one, two, three = (f"02:00:00:00:00:0{n}" for n in (1, 2, 3))
    assert added(mac=one, args={"mac": two}, cni_args=f"MAC={three}").terms.mac == one
    assert added(args={"mac": two}, cni_args=f"MAC={three}").terms.mac == two
    assert added(cni_args=f"MAC={three}").terms.mac == three
    assert added(cni_args="MAC=").terms == PLAIN
    with pytest.raises(InvalidConfiguration, match=r"args\.cni\.mac: 'x' is no MAC"):
        added(args={"mac": "x"})
    with pytest.raises(InvalidEnvironment, match=r"CNI_ARGS MAC: 'x' is no MAC"):
        added(cni_args="MAC=x")


def test_the_pod_s_name_is_kept_where_the_runtime_tells_it(added: Added) -> None:
    """The three of Kubernetes; K8S_POD_UID alone names nobody."""
    assert added(cni_args="K8S_POD_NAMESPACE=a;K8S_POD_NAME=b").terms.pod == KubernetesPod("a", "b")
    assert str(added(cni_args="K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=u").terms.pod) == "a/b"
    assert added(cni_args="K8S_POD_UID=u;K8S_POD_INFRA_CONTAINER_ID=c").terms == PLAIN


def test_pods_of_one_configuration_share_one_network(added: Added) -> None:
    """Only runtimeConfig differs between their bytes: the Network is the same object, so nothing is parsed anew."""
    first = added(portMappings=[{"hostPort": 80, "containerPort": 80}])
    others = [
        added(portMappings=[{"hostPort": 81, "containerPort": 80}]),
        added(mac="02:00:00:00:00:01", ips=["10.244.1.7"]),
        added(),
    ]
    assert all(other.network is first.network for other in others)
    assert [port.host_port for port in others[0].terms.ports] == [81]
    assert (others[1].terms.mac, others[1].terms.ports) == ("02:00:00:00:00:01", ())
    assert [str(address) for address in others[1].addresses] == ["10.244.1.7"]
    assert (others[2].terms, others[2].addresses) == (PLAIN, ())


def test_what_one_pod_asked_for_is_no_other_s(added: Added, make_frame: MakeFrame, defaults: Network) -> None:
    """What args say is of the configuration and stays, addresses and MAC of runtimeConfig go with the pod."""
    args = {"ips": ["10.244.1.5"], "mac": "02:00:00:00:00:05"}
    assert added(args=args, ips=["10.244.1.6"], mac="02:00:00:00:00:06").terms.mac == "02:00:00:00:00:06"
    again = added(args=args)
    assert (again.terms.mac, [str(a) for a in again.addresses]) == ("02:00:00:00:00:05", ["10.244.1.5"])
    plain = parse(make_frame({"args": {"cni": args}}), defaults)
    assert isinstance(plain, Add)
    assert plain.terms.mac == "02:00:00:00:00:05"


def test_ranges_of_the_runtime_are_of_that_pod_alone(added: Added) -> None:
    """runtimeConfig.ipRanges changes the network, so such a configuration is not remembered."""
    ranged = added(ipRanges=[[{"subnet": "10.9.0.0/24"}]])
    assert [str(subnet) for subnet in ranged.network.subnets] == ["10.9.0.0/24"]
    assert [str(subnet) for subnet in added().network.subnets] == ["10.244.1.0/24"]
    assert [str(s) for s in added(ipRanges=[[{"subnet": "10.8.0.0/24"}]]).network.subnets] == ["10.8.0.0/24"]


def test_bytes_that_are_no_json_are_not_taken_for_what_was_seen_before(
    make_frame: MakeFrame, defaults: Network
) -> None:
    """Also where they are a remembered configuration whose runtimeConfig is cut out."""
    whole = b'{"cniVersion":"1.1.0","name":"n","type":"podnet","runtimeConfig":{"mac":"02:00:00:00:00:01"}}'
    part = json.dumps({"mac": "02:00:00:00:00:01"}, separators=(",", ":")).encode()
    assert isinstance(parse(make_frame(whole), defaults), Add)
    with pytest.raises(DecodingFailure):
        parse(make_frame(whole.replace(part, b"")), defaults)


PARTS = [b"null", b"{}", b"[]", b'"x"', b"1", b'{"mac":1}', b'{"ips":["x"]}', b'{"a":', b'{"aliases":["b"]}']


@pytest.mark.parametrize("part", PARTS)
def test_any_runtime_config_is_answered_alike_seen_before_or_not(
    make_frame: MakeFrame, defaults: Network, part: bytes
) -> None:
    """Memory changes how fast an answer comes, not which."""

    def outcome(name: str, *, seen: bool) -> object:
        keys = b'{"cniVersion":"1.1.0","name":"%b","type":"podnet","args":{},"runtimeConfig":%b}'
        if seen:
            parse(make_frame(keys % (name.encode(), b'{"aliases":["a"]}')), defaults)
        try:
            request = parse(make_frame(keys % (name.encode(), part), CNI_COMMAND="STATUS"), defaults)
        except RequestError as error:
            return type(error), error.msg
        assert isinstance(request, Status)
        return request.configuration.terms

    number = PARTS.index(part)
    assert outcome(f"seen{number}", seen=True) == outcome(f"anew{number}", seen=False)
