"""What the tests of requests share: a node's defaults, and frames made from a configuration and an environment."""

import json
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from podnet.cni import Frame
from podnet.model import Network, Range

# How long an example takes says how busy the machine is, and nothing of podnet.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture
def defaults() -> Network:
    """Return a node's own network: one IPv4 range."""
    subnet = IPv4Network("10.244.1.0/24")
    only = Range(subnet, subnet[1], subnet[-2], IPv4Address("10.244.1.1"))
    return Network(name="default", ranges=((only,),))


@pytest.fixture
def make_frame() -> Callable[..., Frame]:
    """Return a maker of frames: keys over a good configuration (or bytes), variables over good ones; None unsets."""

    def make(configuration: dict[str, Any] | bytes | None = None, *, errno: int = 0, **variables: str | None) -> Frame:
        good: dict[str, str | None] = {
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": "c1",
            "CNI_IFNAME": "eth0",
            "CNI_NETNS": "/run/netns/red",
        }
        environment = {key: value for key, value in (good | variables).items() if value is not None}
        if not isinstance(configuration, bytes):
            keys = {"cniVersion": "1.0.0", "name": "net", "type": "podnet", **(configuration or {})}
            configuration = json.dumps({key: value for key, value in keys.items() if value != "unset"}).encode()
        return Frame(environment, configuration, errno)

    return make
