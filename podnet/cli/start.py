"""The start of the daemon, without click."""

import sys

from podnet.errors import PodnetError

CONFIG = "/etc/podnet/podnet.yaml"


def start(config: str = CONFIG) -> int:
    """Run the node daemon until it is told to end; return its exit status, 1 with one line where it cannot run."""
    from podnet import daemon  # noqa: PLC0415 - so that an import that fails is its caller's to show

    try:
        status: int = daemon.run(config)
        return status
    except PodnetError as error:
        sys.stderr.write(f"podnet: {error.msg}\n" + (f"{error.details}\n" if error.details else ""))
        return 1
