"""podnet.yaml's `bgp`: every key, and every slip named with its place and a remedy."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from podnet.cluster.settings import Settings, parse_settings
from podnet.errors import InvalidConfiguration
from podnet.model import BGP, Router

PATH = "/etc/podnet/podnet.yaml"

EVERYTHING = """\
backend: bgp
bgp:
  as: 4200000001
  mode: reflectors
  profile: fast
  password-file: bgp.password
  communities: ["64512:100", "0:65535"]
  socket: /run/bird/bird.ctl
  include: /etc/bird/pods.conf
  routers:
    - name: tor1
      addresses: [192.0.2.1, "2001:db8::1"]
      as: 65001
      role: client
      nodes: [n1, n2]
      password-file: /etc/secrets/tor1
    - name: tor2.example.org
      addresses: [192.0.2.2]
"""
LEAST = "{name: r, addresses: [192.0.2.1]}"


def bgp(text: str, path: str = PATH) -> BGP:
    """Return what is made of a podnet.yaml."""
    return parse_settings(text, path, "host").bgp


def test_every_key() -> None:
    """Each ends up in the settings, decoded; files that are not absolute are beside podnet.yaml."""
    assert bgp(EVERYTHING) == BGP(
        asn=4200000001,
        mode="reflectors",
        profile="fast",
        password_file="/etc/podnet/bgp.password",  # noqa: S106 - a path
        communities=((64512, 100), (0, 65535)),
        socket="/run/bird/bird.ctl",
        include="/etc/bird/pods.conf",
        routers=(
            Router(
                name="tor1",
                addresses=(ip_address("192.0.2.1"), ip_address("2001:db8::1")),
                asn=65001,
                role="client",
                nodes=("n1", "n2"),
                password_file="/etc/secrets/tor1",  # noqa: S106 - a path
            ),
            Router(name="tor2.example.org", addresses=(ip_address("192.0.2.2"),)),
        ),
    )


def test_nothing_is_enough() -> None:
    """A mesh in the first private AS that survives restarts, by a BIRD of podnet's own."""
    assert bgp("backend: bgp") == bgp("bgp: {}") == Settings(node="h").bgp
    assert bgp("") == BGP(asn=64512, mode="mesh", profile="graceful")


def test_a_password_file_is_beside_a_podnet_yaml_that_is_named_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not beside the daemon, whose folder is another."""
    monkeypatch.chdir(tmp_path)
    text = "bgp: {password-file: a/b, routers: [{name: r, addresses: [192.0.2.1], password-file: c}]}"
    found = bgp(text, "conf/podnet.yaml")
    assert found.password_file == str(tmp_path / "conf/a/b")
    assert found.routers[0].password_file == str(tmp_path / "conf/c")


def test_a_hosts_bird_has_an_include_of_its_own() -> None:
    """Where none is named it is in BIRD's own folder."""
    assert bgp("bgp: {socket: /run/bird/bird.ctl}").include == "/etc/bird/podnet.conf"
    assert bgp("bgp: {}").include == ""


@pytest.mark.parametrize("number", [1, 64512, 65535, 65536, 4294967295])
def test_as_numbers_have_32_bits(number: int) -> None:
    """RFC 6793; a router's may be left out."""
    found = bgp(f"bgp:\n  as: {number}\n  routers: [{{name: r, addresses: [192.0.2.1], as: {number}}}, "
                f"{{name: s, addresses: [192.0.2.2], as: 0}}]")  # fmt: skip
    assert (found.asn, found.routers[0].asn, found.routers[1].asn) == (number, number, 0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("as: 0", "{}:2: bgp.as 0 is no AS number; use 1 to 4294967295, such as 64512"),
        ("as: 4294967296", "{}:2: bgp.as 4294967296 is no AS number"),
        ("as: -1", "{}:2: bgp.as -1 is no AS number"),
        ("as: '64512'", "{}:2: bgp.as is not what it should be: Expected `int`, got `str`"),
        ("mode: star", "{}:2: bgp.mode is not what it should be: Invalid enum value 'star'"),
        ("mode: routers", "{}:2: bgp.mode is `routers`, and there are none; name them as `routers`, or choose another"),
        ("profile: slow", "{}:2: bgp.profile is not what it should be: Invalid enum value 'slow'"),
        ("asn: 7", "{}:2: bgp.asn is not known; did you mean as?"),
        ("peers: []", "{}:2: bgp.peers is not known; known are as, mode, profile, password-file, communities, rou"),
        ("password: secret", "{}:2: bgp.password is not known; did you mean password-file?"),
        ("include: /x", "{}:2: bgp.include is for the BIRD that the host runs; name its `socket` too, or leave it out"),
        ("communities: ['64512']", "{}:2: bgp.communities[0] '64512' is no community; write two numbers up to 65535"),
        ("communities:\n  - '1:2'\n  - '65536:1'", "{}:4: bgp.communities[1] '65536:1' is no community"),
        ("communities: ['1:2:3']", "'1:2:3' is no community"),
        ("communities: [':1']", "':1' is no community"),
        ("communities: ['-1:1']", "'-1:1' is no community"),
        ("communities: ['1:²']", "'1:²' is no community"),
        ("communities: ['1:9999999999999999999999']", "is no community"),
        ("communities: [64512:30]", "Expected `str`, got `int`; correct it (a value that YAML misreads needs quotes)"),
        ("routers: [tor]", "{}:2: bgp.routers[0] is not what it should be: Expected `object`, got `str`"),
        ("routers: [{}]", "{}:2: bgp.routers[0] is not what it should be: Object missing required field `name`"),
        ("routers: [{name: r}]", "bgp.routers[0] is not what it should be: Object missing required field `addresses`"),
        ("routers:\n  - name: r\n    addresses: []", "{}:4: bgp.routers[0].addresses is empty; give the router's own"),
        ("routers:\n  - name: 'a b'\n    addresses: [192.0.2.1]", "{}:3: bgp.routers[0].name 'a b' is not a name"),
        ("routers:\n  - name: r\n    adresses: []\n    addresses: [192.0.2.1]",
         "{}:4: bgp.routers[0].adresses is not known; did you mean addresses?"),
        ("routers:\n  - name: r\n    addresses:\n    - 192.0.2.1\n    - 192.0.2.0/24",
         "{}:6: bgp.routers[0].addresses[1] '192.0.2.0/24' is not an IP address; write one such as 10.0.0.1"),
        ("routers: [{name: r, addresses: [192.0.2.1], role: boss}]", "bgp.routers[0].role is not what it should be"),
        ("routers: [{name: r, addresses: [192.0.2.1], as: 4294967296}]", "bgp.routers[0].as 4294967296 is no AS"),
        ("routers: [{name: r, addresses: [192.0.2.1], as: -1}]", "bgp.routers[0].as -1 is no AS number"),
        (f"routers:\n  - {LEAST}\n  - {{name: r, addresses: [192.0.2.2]}}",
         "{}:4: bgp.routers[1] has r, as r has; correct one"),
        (f"routers:\n  - {LEAST}\n  - {{name: s, addresses: [192.0.2.1]}}",
         "{}:4: bgp.routers[1] has 192.0.2.1, as r has; correct one"),
        ("routers: [{name: r, addresses: [192.0.2.1, 192.0.2.1]}]", "bgp.routers[0] has 192.0.2.1, as r has"),
        ("7", "{}:1: bgp is not what it should be: Expected `object`, got `int`"),
    ],
)  # fmt: skip
def test_a_slip_is_named_with_its_place(text: str, complaint: str) -> None:
    """File, line, key and remedy."""
    with pytest.raises(InvalidConfiguration) as caught:
        bgp("bgp:\n  " + text.replace("\n", "\n  "))
    assert complaint.format(PATH) in caught.value.msg
    assert any(mark in caught.value.msg for mark in (";", "?")), "a remedy"


def test_a_reflector_is_of_the_nodes_as() -> None:
    """RFC 4456: by another AS the next hops would be the router's, which nodes do not believe; a `peer` may be."""
    text = "bgp:\n  as: 64513\n  routers:\n  - name: r\n    addresses: [192.0.2.1]\n    role: %s\n    as: %d"
    with pytest.raises(InvalidConfiguration) as caught:
        bgp(text % ("reflector", 64512))
    assert caught.value.msg == (
        f"{PATH}:7: bgp.routers[0].as 64512 is not the nodes' 64513, and a reflector is of their AS; leave it out, or "
        "make the router a `peer`"
    )
    for role, number in (("reflector", 64513), ("reflector", 0), ("peer", 1), ("client", 1)):
        assert bgp(text % (role, number)).routers[0].asn == number


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.5", "::", "::1", "fe80::1", "ff02::5"],  # noqa: S104
)
def test_a_router_has_an_address_that_nodes_can_send_to(address: str) -> None:
    """BIRD refuses a link-local one without a link, and the whole configuration with it."""
    with pytest.raises(InvalidConfiguration) as caught:
        bgp(f"bgp:\n  routers:\n  - name: r\n    addresses: [192.0.2.1, '{address}']")
    assert caught.value.msg == (
        f"{PATH}:4: bgp.routers[0].addresses[1] {address} cannot be reached from nodes; give the router's own address"
    )
