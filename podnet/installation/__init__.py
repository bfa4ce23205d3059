"""podnet as a product on a node: put there by `podnet install`, taken away by `podnet uninstall`.

What belongs here: the order of both, the systemd unit, and the one edge that runs systemctl.  What does not: how a file
comes into a CNI folder (podnet.daemon.install, since the daemon does it too), and how what was done is shown (cli).
"""

from podnet.installation.did import Did

__all__ = ["Did"]
