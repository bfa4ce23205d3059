"""What docs/CONFIGURATION.md shows of BGP: podnet takes it, and so does BIRD, with podnet's part in the place."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from podnet.bird import Configuration, render
from podnet.cluster import Settings, parse_nodes, parse_settings
from podnet.cluster.bgp import BGPEntry, RouterEntry
from podnet.mesh.bgp import node_configuration, remarks
from podnet.model import NodeFacts
from podnet.model.bgp import Mode, Profile, Role

TEXT = (Path(__file__).parents[2] / "docs" / "CONFIGURATION.md").read_text(encoding="utf-8")
SECTION = TEXT.partition("\n### BGP\n")[2].partition("\n## ")[0]
NODES = """\
nodes:
  - {name: n1, addresses: [192.0.2.11, "2001:db8::11"], pod-cidrs: [10.244.1.0/24, "fd00:10:244:1::/64"]}
  - {name: n2, addresses: [198.51.100.12], pod-cidrs: [10.244.2.0/24], route-reflector: true}
"""


def blocks(first: str) -> Iterator[str]:
    """Yield the blocks of code that begin with this."""
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL):
        if block.startswith(first):
            yield block


def settings() -> Settings:
    """Return the podnet.yaml that is shown."""
    (text,) = blocks("backend: bgp")
    return parse_settings(text, "/etc/podnet/podnet.yaml", "n1")


def wanted(settings: Settings, profile: Profile) -> Configuration:
    """Return what n1 does by it."""
    nodes = parse_nodes(NODES, "nodes.yaml", settings.cluster_cidrs[:0])
    facts = NodeFacts(name="n1", boot_id="b", uplink="eth0", addresses=nodes[0].addresses)
    bgp = msgspec.structs.replace(settings.bgp, profile=profile)
    assert list(remarks(nodes, facts, bgp)) == []
    return node_configuration(nodes[0], nodes, facts, bgp, settings.cluster_cidrs)


@pytest.mark.parametrize("profile", get_args(Profile))
def test_bird_takes_what_the_example_amounts_to(refusal: Callable[[str], str], profile: Profile) -> None:
    """With each profile, in a BIRD of podnet's own."""
    shown = wanted(settings(), profile)
    assert {session.name for session in shown.sessions} == {"n2", "rack1"}
    assert refusal(render(shown, {one.password.file: "secret" for one in shown.sessions})) == ""


@pytest.mark.parametrize("profile", get_args(Profile))
def test_a_hosts_bird_that_is_configured_as_shown_takes_podnets_part(
    refusal: Callable[[str], str], tmp_path: Path, profile: Profile
) -> None:
    """Before podnet has written it, and after."""
    (conf,) = blocks("router id")
    file = tmp_path / "podnet.conf"
    conf = conf.replace("/etc/bird/podnet.conf", str(file))
    assert str(file) in conf
    file.touch()
    assert refusal(conf) == ""
    shown = wanted(settings(), profile)._replace(hosted=True)
    file.write_text(render(shown, {one.password.file: "secret" for one in shown.sessions}), encoding="utf-8")
    assert refusal(conf) == ""


def test_every_key_and_word_is_told_of() -> None:
    """Of `bgp` and of a router; modes, profiles and roles."""
    keys = msgspec.structs.fields(BGPEntry)
    of_routers = msgspec.structs.fields(RouterEntry)
    for name in (*(key.encode_name for key in keys), *(f"routers[].{key.encode_name}" for key in of_routers)):
        assert f"\n| `{name}` | " in SECTION
    for word in (*get_args(Mode), *get_args(Profile), *get_args(Role)):
        assert f"\n| `{word}` | " in SECTION
