"""BIRD, the router that speaks BGP for podnet: its configuration as a value and as text, and what it answers.  Pure.

BIRD 2 (bird.network.cz) is asked by a control socket and configured by a file; podnet writes that file and has it read
anew, and never ends a BIRD for a change.
"""

from podnet.bird.configuration import Configuration, Password, Session, Takes, Tells
from podnet.bird.protocols import Protocol, parse_protocols, session_of
from podnet.bird.reply import Replies, Reply
from podnet.bird.text import METRIC, PROTOCOL_BIRD, protocol_name, render

__all__ = [
    "METRIC",
    "PROTOCOL_BIRD",
    "Configuration",
    "Password",
    "Protocol",
    "Replies",
    "Reply",
    "Session",
    "Takes",
    "Tells",
    "parse_protocols",
    "protocol_name",
    "render",
    "session_of",
]
