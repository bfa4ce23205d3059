"""The shim: the static program (shim/podnet.c in the source tree) that a container runtime executes for each verb.

What belongs here: the compiled program and the way to it.  What does not: its frame (podnet.cni.frame) and its
installation on a node (podnet.daemon.install).
"""

import os

from podnet.errors import IOFailure


def path() -> str:
    """Return the path of the compiled shim; raise IOFailure when this copy of podnet was never built."""
    program = os.path.join(os.path.dirname(__file__), "podnet")  # noqa: PTH118, PTH120 - pathlib's import takes longer
    if not os.path.exists(program):  # noqa: PTH110 - likewise
        raise IOFailure(f"{program} does not exist: podnet was not built; run `pip install -e .` in its source tree")
    return program
