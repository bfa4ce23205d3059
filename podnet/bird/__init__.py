"""BIRD, the router that speaks BGP for podnet: its configuration as a value and as text, and what it answers.  Pure.

BIRD 2 (bird.network.cz) is asked by a control socket and configured by a file; podnet writes that file and has it read
anew, and never ends a BIRD for a change.
"""

from podnet.bird.configuration import Configuration, Password, Session, Takes, Tells
from podnet.bird.floating import (
    METRIC_FLOATING,
    PROTOCOL_FLOATING,
    copies,
    is_recovering,
    parse_routes,
    served,
    without,
)
from podnet.bird.protocols import Protocol, parse_protocols, session_of
from podnet.bird.reply import Replies, Reply
from podnet.bird.text import METRIC, PROTOCOL_BIRD, RESTART_SECONDS, protocol_name, render

__all__ = [
    "METRIC",
    "METRIC_FLOATING",
    "PROTOCOL_BIRD",
    "PROTOCOL_FLOATING",
    "RESTART_SECONDS",
    "Configuration",
    "Password",
    "Protocol",
    "Replies",
    "Reply",
    "Session",
    "Takes",
    "Tells",
    "copies",
    "is_recovering",
    "parse_protocols",
    "parse_routes",
    "protocol_name",
    "render",
    "served",
    "session_of",
    "without",
]
