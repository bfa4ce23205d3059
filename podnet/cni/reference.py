"""Keys of the reference plugins (bridge, ptp, host-local) that podnet does not have: accepted if harmless, else named.

Configurations move from those plugins to podnet by changing `type`.  A key that asks for what podnet does anyway is
accepted; one that asks for something else is error 2 with podnet's name for it, or with the reason there is none.
Spelled differently but meant alike, and so handled as keys of podnet's own: `ipMasq` (masquerade), `hairpinMode`
(hairpin), `isDefaultGateway` (a default route per family, which a pod gets without `ipam.routes` too).
"""

from typing import Any, NamedTuple


class Accepted(NamedTuple):
    """The harmless `values` of a key, and what is said `otherwise`."""

    values: tuple[Any, ...]
    otherwise: str


_NO_VLAN = "podnet's bridge has no VLANs: leave it out, and make one network per VLAN with the bridge plugin instead"

ACCEPTED: dict[str, Accepted] = {
    "isGateway": Accepted((True, None), "podnet's bridge always carries the gateway's address: leave the key out"),
    "forceAddress": Accepted((False, None), "podnet removes no address that is not its own: remove it by hand, once"),
    "promiscMode": Accepted((False, None), "promiscuous mode is for pods that reach themselves: say hairpin instead"),
    "vlan": Accepted((0, None), _NO_VLAN),
    "vlanTrunk": Accepted(([], None), _NO_VLAN),
    "preserveDefaultVlan": Accepted((True, False, None), "it must be true or false"),
    "macspoofchk": Accepted((False, None), "podnet has no such switch: with datapath ptp no foreign MAC passes"),
    "enabledad": Accepted((False, None), "addresses are unique by podnet's leases, without waiting: leave the key out"),
    "disableContainerInterface": Accepted((False, None), "an interface that stays down is none: leave the key out"),
    "portIsolation": Accepted((False, None), "podnet's bridge decides on its ports' isolation itself: leave it out"),
    "ipMasqBackend": Accepted(("nftables", "", None), "podnet masquerades with nftables: leave the key out"),
}

ELSEWHERE = {
    "plugins": "that is a list's file; a runtime sends one plugin's configuration at a time",
    "mac": "a MAC belongs to one pod: say runtimeConfig.mac, args.cni.mac or CNI_ARGS MAC=",
}
"""Unknown keys at the top whose remedy is not a similar name."""

ELSEWHERE_IN_IPAM = {
    "dataDir": "podnet keeps leases in its own database, whose folder the node's settings name; leave the key out",
    "resolvConf": "say dns instead, beside ipam",
    "addresses": "that is the static plugin's; ask for an address with args.cni.ips or CNI_ARGS IP=",
}
"""Unknown keys of ``ipam`` whose remedy is not a similar name."""
