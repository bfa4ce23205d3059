"""The start of the daemon, without click."""

import sys

from podnet.errors import PodnetError

CONFIG = "/etc/podnet/podnet.yaml"


def start(config: str = CONFIG) -> int:
    """Run the node daemon until it is told to end; return its exit status, 1 with one line where it cannot run."""
    from podnet.daemon.paths import Paths  # noqa: PLC0415 - click's way here shows its help without them
    from podnet.daemon.run import run  # noqa: PLC0415 - likewise

    try:
        return run(Paths(config=config))
    except PodnetError as error:
        sys.stderr.write(f"podnet: {error.msg}\n" + (f"{error.details}\n" if error.details else ""))
        return 1
