"""The command line: one module per command, imported when that command is used.

What belongs here: options, arguments, and how results and errors are shown.  What does not: whatever they are about.
"""

import sys

NODE_RUN = ["node", "run"]
NODE_RUN_IN_POD = [*NODE_RUN, "--no-oneshot"]


def main() -> None:
    """Run `podnet`.

    `podnet node run` without options beside --config, or as deploy/podnet.yaml has it, does not go by way of click,
    whose import would be a third of the daemon's start and a fifth of its memory.
    """
    words = sys.argv[1:]
    if words == NODE_RUN_IN_POD:
        from podnet.cli.start import start  # noqa: PLC0415 - only what a command needs

        sys.exit(start(oneshot=False))
    if words[:2] == NODE_RUN and (len(words) == 2 or (len(words) == 4 and words[2] == "--config")):  # noqa: PLR2004
        from podnet.cli.start import start  # noqa: PLC0415 - only what a command needs

        sys.exit(start(*words[3:]))
    from podnet.cli.root import root  # noqa: PLC0415 - only what a command needs

    root(prog_name="podnet")
