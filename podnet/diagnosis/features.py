"""What a node's kernel must be able to do, and what of it this one refuses."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from podnet.diagnosis.finding import Finding, Severity

CHECK = "features"


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A `feature` of `FEATURES` that was tried and refused: `error` is the command with what the kernel says."""

    feature: str
    error: str


class _Feature(NamedTuple):
    severity: Severity
    suffers: str
    options: str


FEATURES = {
    "ptp": _Feature("broken", "no pod can be attached", "CONFIG_VETH (modprobe veth)"),
    "bridge": _Feature("broken", "no pod can be attached", "CONFIG_BRIDGE, CONFIG_VETH (modprobe bridge veth)"),
    "nftables": _Feature(
        "broken",
        "podnet's rules cannot be made, and no pod is attached without them",
        "CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET, CONFIG_NFT_CT, CONFIG_NFT_NAT, CONFIG_NFT_MASQ, CONFIG_NFT_FIB_INET, "
        "CONFIG_NF_TABLES_BRIDGE with `datapath: bridge` (modprobe nf_tables nft_ct nft_masq nft_nat nft_fib_inet)",
    ),
    "bandwidth": _Feature(
        "note",
        "pods that ask for a bandwidth are not attached",
        "CONFIG_NET_SCH_TBF, CONFIG_IFB, CONFIG_NET_CLS_U32, CONFIG_NET_ACT_MIRRED (modprobe sch_tbf ifb)",
    ),
    "vxlan": _Feature("broken", "pods of other nodes are not reached", "CONFIG_VXLAN (modprobe vxlan)"),
    "wireguard": _Feature(
        "broken",
        "the daemon does not start",
        "CONFIG_WIREGUARD (modprobe wireguard), else the program wireguard-go (apt install wireguard-go)",
    ),
}


def features(refusals: Sequence[Refusal]) -> Iterator[Finding]:
    """Yield a finding for each feature that was refused."""
    for refusal in refusals:
        feature = FEATURES[refusal.feature]
        what = f"the kernel refuses what {refusal.feature} takes: {feature.suffers}"
        yield Finding(CHECK, feature.severity, what, refusal.error, f"a kernel with {feature.options}")
