"""The Container Network Interface: what a runtime sends, as values, and what it is told, as bytes.

Belongs here: the shim's frame, requests and the network configuration in them, results and errors of every version of
the specification.  Does not: deciding anything (ipam, datapath), and reading or writing (edges).  All functions are
pure.  Source throughout: CNI SPEC.md 1.1.0 and, for older versions, the types of containernetworking/cni.

    frame ──parse──► Add | Delete | Check | GC | Status | Version    request.py, configuration.py, capabilities.py
    Add + another plugin's answer ──► Add                     delegate.py
    Attached ──render──► bytes at the request's version       result.py
    PodnetError ──render──► bytes                             error.py
"""

from podnet.cni.configuration import Configuration, load, render_conflist
from podnet.cni.decoding import stated_part
from podnet.cni.delegate import failure_of, with_addresses
from podnet.cni.error import render as render_error
from podnet.cni.frame import Answer, AnswerReader, Frame, FrameReader, encode_answer
from podnet.cni.request import GC, Add, Check, Delete, Request, Status, Version, parse, version_of
from podnet.cni.result import Attached, Interface, IPConfig
from podnet.cni.result import render as render_result
from podnet.cni.versions import HIGHEST, VERSIONS
from podnet.cni.versions import answer as render_version

__all__ = [
    "GC",
    "HIGHEST",
    "VERSIONS",
    "Add",
    "Answer",
    "AnswerReader",
    "Attached",
    "Check",
    "Configuration",
    "Delete",
    "Frame",
    "FrameReader",
    "IPConfig",
    "Interface",
    "Request",
    "Status",
    "Version",
    "encode_answer",
    "failure_of",
    "load",
    "parse",
    "render_conflist",
    "render_error",
    "render_result",
    "render_version",
    "stated_part",
    "version_of",
    "with_addresses",
]
