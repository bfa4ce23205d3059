"""podnet.yaml: every key has a default, and every slip is named with its place."""

from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from podnet.cluster import settings
from podnet.cluster.settings import Etcd, History, Settings, parse_settings, read_settings, with_etcd
from podnet.errors import DecodingFailure, InvalidConfiguration, IOFailure, PodnetError
from podnet.model import Tunnel, WireGuardPort

PATH = "/etc/podnet/podnet.yaml"

EVERYTHING = """\
node: n1
network: pods
datapath: bridge
bridge: br7
mtu: 1450
uplink: eth1
backend: auto
vxlan: {vni: 7, port: 8472}
wireguard: {port: 51821}
cluster-cidrs: [10.244.0.0/16, "fd00:10:244::/56"]
masquerade: false
non-masquerade-cidrs: [192.168.0.0/16]
quarantine: 5
history: {days: 1.5, rows: 10}
etcd:
  endpoints: ["https://192.0.2.1:2379", "https://[2001:db8::1]:2379"]
  ca: pki/ca.crt
  cert: /pki/client.crt
  key: /pki/client.key
  user: podnet
  password-file: password
  prefix: /net/a
  grace: 60
  node-cidr-mask-size-ipv4: 26
  node-cidr-mask-size-ipv6: 80
  route-reflector: true
nodes: lists/all.yaml
"""


def test_every_key() -> None:
    """Each key of the file ends up in the settings, decoded."""
    assert parse_settings(EVERYTHING, PATH, "host") == Settings(
        node="n1",
        network="pods",
        datapath="bridge",
        bridge="br7",
        mtu=1450,
        uplink="eth1",
        backend="auto",
        vxlan=Tunnel(vni=7, port=8472),
        wireguard=WireGuardPort(port=51821),
        cluster_cidrs=(ip_network("10.244.0.0/16"), ip_network("fd00:10:244::/56")),
        masquerade=False,
        non_masquerade_cidrs=(ip_network("192.168.0.0/16"),),
        quarantine=5.0,
        history=History(days=1.5, rows=10),
        etcd=Etcd(
            endpoints=("https://192.0.2.1:2379", "https://[2001:db8::1]:2379"),
            ca="/etc/podnet/pki/ca.crt",
            cert="/pki/client.crt",
            key="/pki/client.key",
            user="podnet",
            password_file="/etc/podnet/password",  # noqa: S106 - where it is
            prefix="/net/a",
            grace=60,
            node_cidr_mask_size_ipv4=26,
            node_cidr_mask_size_ipv6=80,
            route_reflector=True,
        ),
        nodes="/etc/podnet/lists/all.yaml",
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}\n"])
def test_nothing_is_enough(text: str) -> None:
    """A file that says nothing gives the defaults, and the host's name as the node's."""
    expected = Settings(node="host", nodes="/etc/podnet/nodes.yaml")
    assert parse_settings(text, PATH, "host") == expected
    assert (expected.network, expected.datapath, expected.quarantine) == ("podnet", "ptp", 60.0)
    assert (expected.backend, expected.vxlan) == ("direct", Tunnel(vni=28782, port=4789))


def test_the_list_of_nodes_is_found_beside_the_file() -> None:
    """A relative path starts at the settings' folder, an absolute one is kept."""
    assert parse_settings("nodes: /srv/n.yaml", PATH, "h").nodes == "/srv/n.yaml"
    assert parse_settings("", "podnet.yaml", "h").nodes == str(Path.cwd() / "nodes.yaml")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("mtu: 0\ndatapth: ptp", "{}:2: datapth is not known; did you mean datapath?"),
        ("cluster_cidrs: []", "{}:1: cluster_cidrs is not known; did you mean cluster-cidrs?"),
        ("history:\n  day: 3", "{}:2: history.day is not known; did you mean days?"),
        ("history: {zzz: 1}", "{}:1: history.zzz is not known; known are days, rows"),
        ("mtu: 1\n\nmtu: 2", "{}:3: mtu is given twice; keep one"),
        ("mtu: big", "{}:1: mtu is not what it should be: Expected `int`, got `str`"),
        ("\nnode: no", "{}:2: node is not what it should be: Expected `str`, got `bool`"),
        ("datapath: vlan", "{}:1: datapath is not what it should be: Invalid enum value 'vlan'"),
        ("backend: ipip", "{}:1: backend is not what it should be: Invalid enum value 'ipip'"),
        ("vxlan:\n  vnl: 3", "{}:2: vxlan.vnl is not known; did you mean vni?"),
        ("vxlan: {vni: 0}", "{}:1: vxlan.vni 0 is out of range; use 1 to 16777215"),
        ("vxlan: {vni: 16777216}", "vxlan.vni 16777216 is out of range"),
        ("vxlan:\n  port: 65536", "{}:2: vxlan.port 65536 is out of range; use 1 to 65535"),
        ("vxlan: {port: 0}", "vxlan.port 0 is out of range"),
        ("wireguard: {port: 0}", "{}:1: wireguard.port 0 is out of range; use 1 to 65535"),
        ("wireguard: {key: x}", "{}:1: wireguard.key is not known; known are port"),
        ("vxlan: 4789", "{}:1: vxlan is not what it should be: Expected `object`, got `int`"),
        ("[1]", "{}:1: the document is not what it should be: Expected `object`, got `array`"),
        ("cluster-cidrs:\n- 10.0.0.0/8\n- 7", "{}:3: cluster-cidrs[1] is not what it should be: Expected `str`"),
        ("cluster-cidrs: [10.0.0.0/8, x]", "{}:1: cluster-cidrs[1] 'x' is not a CIDR"),
        ("cluster-cidrs: [10.1.0.0/8]", "'10.1.0.0/8' has bits set behind its prefix length; did you mean 10.0.0.0/8?"),
        ("cluster-cidrs: [10.0.0.0/8, 10.9.0.0/16]", "cluster-cidrs[1] 10.9.0.0/16 overlaps 10.0.0.0/8"),
        ("non-masquerade-cidrs: [fd00::1/64]", "non-masquerade-cidrs[0] 'fd00::1/64' has bits set"),
        ("node: a/b", "{}:1: node 'a/b' is not a name"),
        ("network: ''", "{}:1: network '' is not a name"),
        ("node: " + "n" * 254, "is not a name"),
        ("bridge: ''", "{}:1: bridge '' is not an interface's name"),
        ("bridge: a-name-too-long-", "is not an interface's name"),
        ("bridge: ..", "is not an interface's name"),
        ("uplink: 'eth 0'", "{}:1: uplink 'eth 0' is not an interface's name"),
        ("mtu: 67", "{}:1: mtu 67 is out of range; use 0 (the uplink's) or 68 to 65535"),
        ("mtu: 65536", "out of range"),
        ("mtu: -1", "out of range"),
        ("mtu: 1279\ncluster-cidrs: ['fd00::/56']", "{}:1: mtu 1279 is out of range; use 0 (the uplink's) or 1280"),
        ("quarantine: -1", "{}:1: quarantine -1.0 is out of range"),
        ("quarantine: .inf", "{}:1: quarantine inf is out of range"),
        ("quarantine: .nan", "{}:1: quarantine nan is out of range"),
        ("history: {days: -1}", "{}:1: history.days -1.0 is out of range"),
        ("history:\n  rows: -1", "{}:2: history.rows -1 is out of range"),
        ("nodes: ''", "{}:1: nodes is empty"),
        ("etcd:\n  endpoint: x", "{}:2: etcd.endpoint is not known; did you mean endpoints?"),
        ("etcd: {endpoints: https://a}", "{}:1: etcd.endpoints is not what it should be: Expected `array`"),
        ("etcd: {prefix: podnet}", "{}:1: etcd.prefix 'podnet' is no prefix of keys; write one such as /podnet/podnet"),
        ("etcd: {prefix: /podnet/}", "etcd.prefix '/podnet/' is no prefix"),
        ("etcd: {grace: 9}", "{}:1: etcd.grace 9 is out of range; use 10 to 9000000000 seconds"),
        ("etcd: {node-cidr-mask-size-ipv4: 31}", "etcd.node-cidr-mask-size-ipv4 31 is out of range; use 8 to 30"),
        ("etcd: {node-cidr-mask-size-ipv6: 47}", "etcd.node-cidr-mask-size-ipv6 47 is out of range; use 48 to 126"),
    ],
)
def test_a_slip_is_named_with_its_place(text: str, complaint: str) -> None:
    """A key or value that cannot be meant is refused with file, line, key and remedy."""
    with pytest.raises(InvalidConfiguration) as caught:
        parse_settings(text, PATH, "host")
    assert complaint.format(PATH) in caught.value.msg


def test_the_command_line_goes_over_etcd_in_the_file() -> None:
    """What is said there replaces what the file says, value by value; certificates without a server are a slip."""
    told = parse_settings("etcd: {endpoints: ['https://a:1'], user: one, grace: 60}", PATH, "h")
    given = {"endpoints": "https://b:1, https://c:1,", "user": "", "ca": "/pki/ca.crt"}
    assert with_etcd(told, given).etcd == Etcd(
        endpoints=("https://b:1", "https://c:1"), user="one", grace=60, ca="/pki/ca.crt"
    )
    assert with_etcd(told, {}) == told
    with pytest.raises(InvalidConfiguration, match="ca of etcd is given, and no etcd: name one with --etcd URL"):
        with_etcd(parse_settings("", PATH, "h"), {"ca": "x"})


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: [", f"{PATH}:2: "), ("? [a]\n: 1", f"{PATH}:1: "), ("\x00", f"{PATH}: "), ("a\n---\nb", PATH)],
)
def test_what_is_no_yaml(text: str, place: str) -> None:
    """A file that is not one YAML document is refused with its place."""
    with pytest.raises(DecodingFailure) as caught:
        parse_settings(text, PATH, "host")
    assert caught.value.msg.startswith(f"{place}")
    assert "not YAML" in caught.value.msg


def test_aliases_are_followed_once() -> None:
    """A document that contains itself, or would take exponential time to walk, is answered like any other."""
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    for text in ("node: &n [*n]\n", bomb):
        with pytest.raises(InvalidConfiguration):
            parse_settings(text, PATH, "host")


@given(st.text() | st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists).map(str))
def test_any_text_gives_settings_or_a_clear_error(text: str) -> None:
    """No content of the file makes anything but settings or an error of podnet's that names the file."""
    try:
        assert isinstance(parse_settings(text, PATH, "host"), Settings)
    except PodnetError as error:
        assert error.msg.startswith(PATH)  # noqa: PT017 - either outcome is right


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
keys = st.sampled_from(["node", "mtu", "history", "days", "cluster-cidrs", "nodes", "quarantine", "x"])


@given(st.dictionaries(keys, values | st.lists(values, max_size=3) | st.dictionaries(keys, values, max_size=3)))
def test_any_document_gives_settings_or_a_clear_error(document: dict[str, object]) -> None:
    """Known keys with any values give settings or an error that names the line."""
    text = yaml.safe_dump(document)
    try:
        assert isinstance(parse_settings(text, PATH, "host"), Settings)
    except InvalidConfiguration as error:
        assert error.msg.startswith(f"{PATH}:")  # noqa: PT017 - either outcome is right


def test_a_missing_file_is_the_defaults_unless_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual place may be empty, but for a router, which needs it; a file that somebody named must be there."""
    monkeypatch.setattr(settings, "PATH", str(tmp_path / "podnet.yaml"))
    assert read_settings(settings.PATH).nodes == str(tmp_path / "nodes.yaml")
    for path, required in ((settings.PATH, True), (str(tmp_path / "other.yaml"), False)):
        with pytest.raises(IOFailure, match=f"{path}: no such file; write it"):
            read_settings(path, required=required)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder in the file's place, or bytes that are no text, are named."""
    with pytest.raises(IOFailure, match="cannot be read"):
        read_settings(str(tmp_path))
    (tmp_path / "podnet.yaml").write_bytes(b"node: \xff")
    with pytest.raises(DecodingFailure, match="not UTF-8 at byte 6"):
        read_settings(str(tmp_path / "podnet.yaml"))
    (tmp_path / "podnet.yaml").write_text("node: n9", encoding="utf-8")
    assert read_settings(str(tmp_path / "podnet.yaml"), required=True).node == "n9"
