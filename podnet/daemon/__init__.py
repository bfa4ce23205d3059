"""The node daemon: one process per node, the only writer of its database, warm for every verb.

What belongs here: the server behind the shim's socket, the node's installation into the CNI folders, the loop that
keeps both.  What does not: decisions (podnet.engine), and the command line (podnet.cli).
"""

from podnet.daemon.paths import Paths

__all__ = ["Paths"]
