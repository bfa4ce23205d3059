"""One verb without a daemon: what the shim executes where no daemon listens, with an interpreter fixed at install.

The same engine and the same database as the daemon's, under the same lock, so there are never two writers.  The
shim's frame is standard input, CNI_NETNS's descriptor is 3, PODNET_SOCKET names the daemon's socket: if the lock is
held because a daemon has just started, the frame goes to it after all.
"""

import os
import socket
import sys
import time
from contextlib import suppress

from podnet.cni import Answer, AnswerReader, Frame, FrameReader, render_error
from podnet.daemon.node import NodeContext, list_nodes
from podnet.daemon.paths import Paths
from podnet.daemon.service import Call, failure
from podnet.errors import DecodeError, PodnetError, TryAgainLater
from podnet.store import HeldError

NETNS_DESCRIPTOR = 3
LOCK_SECONDS = 20.0
"""How long other one-shots are waited for: an ADD takes some tens of milliseconds, kubelet waits two minutes."""
LOCK_SLICE = 0.25
"""Seconds after which a wait for the lock asks whether it is a daemon by now that has it."""
TIMEOUT = 100.0
CHUNK = 1 << 16


def ask(path: str, frame: Frame, netns: int | None) -> Answer | None:
    """Return the answer of the daemon at socket `path`, or None where none listens.

    Raises TryAgainLater where it goes away before it has answered.
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(TIMEOUT)
    with client:
        try:
            client.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        try:
            return _exchange(client, frame.encode(), netns)
        except (OSError, DecodeError) as error:
            raise TryAgainLater(
                f"the daemon behind {path} went away before it had answered ({error}); ask again"
            ) from error


def _exchange(client: socket.socket, data: bytes, netns: int | None) -> Answer:
    sent = socket.send_fds(client, [data], [netns]) if netns is not None else 0
    if sent < len(data):  # to send nothing to a daemon that has answered and closed already would be EPIPE
        client.sendall(data[sent:])
    reader = AnswerReader()
    while True:
        answer = reader.feed(client.recv(CHUNK))
        if answer is not None:
            return answer


def serve(frame: Frame, netns: int | None, paths: Paths) -> Answer:
    """Answer one frame with an engine of our own, or let the daemon that holds the database do it; never raise."""
    try:
        node = _open(frame, netns, paths)
        if isinstance(node, Answer):
            return node
        try:
            node.serve_wishes(None)
            node.reload(list_nodes(node.settings, paths))
            node.drain_spool()
            own = node.answer(Call(frame, netns))
            node.engine.reap()
            return Answer(own.status, own.stdout)
        finally:
            node.close()
    except PodnetError as error:
        own = failure(error, frame)
        return Answer(own.status, own.stdout)


def _open(frame: Frame, netns: int | None, paths: Paths) -> NodeContext | Answer:
    """Return the node, ours alone, or the answer of the daemon that has it; raise `PodnetError`."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return NodeContext(paths, wait=LOCK_SLICE)
        except HeldError:
            answer = ask(paths.socket, frame, netns)
            if answer is not None:
                return answer
            if time.monotonic() >= deadline:
                raise


def main() -> int:
    """Read the frame, answer it, print; return the exit status."""
    netns: int | None = NETNS_DESCRIPTOR
    try:
        os.fstat(NETNS_DESCRIPTOR)
    except OSError:
        netns = None
    paths = Paths()
    with suppress(KeyError):
        paths = paths._replace(socket=os.environ["PODNET_SOCKET"])
    try:
        frame = FrameReader().feed(sys.stdin.buffer.read())
        assert frame is not None  # noqa: S101 - the whole stream was fed, so the reader gave a frame or raised
        answer = serve(frame, netns, paths)
    except PodnetError as error:
        answer = Answer(1, render_error(error))
    sys.stdout.buffer.write(answer.stdout)
    return answer.status


if __name__ == "__main__":
    sys.exit(main())
