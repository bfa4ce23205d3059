"""What keeps pods of this node from being reached, or soon will: a function per check, of what was gathered.

Belongs here: what is amiss, how it is told by values, and the remedy.  Does not belong here: reading any of it, which
is :mod:`podnet.doctor`'s, and putting it right, which is nobody's: a diagnosis changes nothing.
"""

from podnet.diagnosis.bgp import bgp, silent
from podnet.diagnosis.clock import boot, clock
from podnet.diagnosis.conntrack import conntrack, lost
from podnet.diagnosis.daemon import daemon
from podnet.diagnosis.exhaustion import exhaustion
from podnet.diagnosis.features import features
from podnet.diagnosis.finding import Finding, Severity, worst_first
from podnet.diagnosis.forwarding import SWITCHES, forwarding
from podnet.diagnosis.link_daemons import link_daemons
from podnet.diagnosis.lists import lists
from podnet.diagnosis.nodes import nodes
from podnet.diagnosis.overlap import IPAddress, overlap
from podnet.diagnosis.path_mtu import path_mtu
from podnet.diagnosis.rp_filter import rp_filter
from podnet.diagnosis.tunnel_port import tunnel_port
from podnet.diagnosis.uplink import uplink

__all__ = [
    "SWITCHES",
    "Finding",
    "IPAddress",
    "Severity",
    "bgp",
    "boot",
    "clock",
    "conntrack",
    "daemon",
    "exhaustion",
    "features",
    "forwarding",
    "link_daemons",
    "lists",
    "lost",
    "nodes",
    "overlap",
    "path_mtu",
    "rp_filter",
    "silent",
    "tunnel_port",
    "uplink",
    "worst_first",
]
