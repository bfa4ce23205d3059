"""BIRD as it runs: its control socket, its process, and the thread that has it do what the cluster's state asks for."""

from podnet.routing.control import Control
from podnet.routing.flaps import Flaps
from podnet.routing.program import Places, end, running
from podnet.routing.speaker import Speaker

__all__ = ["Control", "Flaps", "Places", "Speaker", "end", "running"]
