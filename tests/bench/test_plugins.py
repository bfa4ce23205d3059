"""A plugin's configuration as a runtime hands it over: what a pod asks for, as far as the plugin declares it."""

import pytest

from bench.plugins import ASKING, CONTENDERS, INCREMENTS, Json, configured
from bench.suite import NAMES, SECTIONS, sections

MAPPING = {"hostPort": "@PORT@", "containerPort": 80, "protocol": "tcp"}
RATES = {f"{way}Rate": 100_000_000 for way in ("ingress", "egress")}
BURSTS = {f"{way}Burst": 1_000_000 for way in ("ingress", "egress")}


@pytest.mark.parametrize(
    ("declared", "asks", "handed"),
    [
        ({}, ("portMappings", "bandwidth"), None),
        ({"bandwidth": True}, (), None),
        ({"portMappings": False}, ("portMappings",), None),
        ({"portMappings": True}, (), {"portMappings": []}),
        ({"portMappings": True}, ("portMappings", "bandwidth"), {"portMappings": [MAPPING]}),
        ({"bandwidth": True}, ("portMappings", "bandwidth"), {"bandwidth": RATES | BURSTS}),
        (
            {"portMappings": True, "bandwidth": True, "ips": True},
            ("bandwidth",),
            {"portMappings": [], "bandwidth": RATES | BURSTS},
        ),
    ],
)
def test_a_plugin_gets_what_it_declares(declared: Json, asks: tuple[str, ...], handed: Json | None) -> None:
    """Without a port a runtime hands an empty list, without bandwidth nothing; capabilities themselves stay behind."""
    expected: Json = {"type": "any", "cniVersion": "1.0.0", "name": "net"}
    if handed is not None:
        expected["runtimeConfig"] = handed
    assert configured({"type": "any", "capabilities": declared}, "net", asks) == expected


def test_the_chain_declares_what_its_pods_ask_for() -> None:
    """Each capability is declared by one plugin of the reference chain, as its documentation shows it."""
    chain = ASKING[-1]
    declared = [plugin.get("capabilities", {}) for plugin in chain.plugins]
    assert declared == [{}, {"portMappings": True}, {"bandwidth": True}]
    assert chain.asks == ("portMappings", "bandwidth")


def test_every_contender_has_a_name_of_its_own() -> None:
    """A name is what --contender chooses by, and what figures are grouped by."""
    assert len(set(NAMES)) == len(NAMES)
    assert set(NAMES) == {contender.name for contender in (*CONTENDERS, *ASKING, *INCREMENTS)}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), set(SECTIONS)),
        (("podnet ptp", "ptp"), {"verbs"}),
        (("podnet ptp, port",), {"ports"}),
        (("ptp", "ptp + portmap + bandwidth"), {"verbs", "ports"}),
    ],
)
def test_a_contender_alone_is_measured_where_it_belongs(names: tuple[str, ...], expected: set[str]) -> None:
    """Named contenders mean their sections alone; none named means all."""
    assert sections(names) == expected
