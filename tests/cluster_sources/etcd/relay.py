"""A way to a server that can be cut: the server goes on for others, and who goes this way hears nothing of it."""

import socket
import threading
from contextlib import suppress


class Relay:
    """Listens on a port of loopback, and passes on what comes to `port`."""

    def __init__(self, port: int) -> None:
        """Listen; the way is open."""
        self._port = port
        self._open = True
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections, and whatever is begun anew."""
        with self._lock:
            self._open = False
            for end in self._ends:
                _shut(end)

    def mend(self) -> None:
        """Let through what is begun from now on."""
        with self._lock:
            self._open = True

    def close(self) -> None:
        """End."""
        self.cut()
        _shut(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                with self._lock:
                    if not self._open:
                        near.close()
                        continue
                    try:
                        far = socket.create_connection(("127.0.0.1", self._port))
                    except OSError:
                        near.close()
                        continue
                    self._ends |= {near, far}
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        _shut(other)
        _shut(one)
        with self._lock:
            if one in self._ends:  # the first of the two to end closes nothing: the other may be reading
                self._ends.discard(one)
                one.close()


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
