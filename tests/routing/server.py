"""A program that says at a control socket what a test has it say."""

import socket
import threading
from contextlib import ExitStack

from podnet.testing.waiting import PATIENCE

WELCOME = b"0001 BIRD 2.0.12 ready.\n"


class Server:
    """Listens at `path`, says `words` one after the other, each but the first when it is asked, and then ends."""

    def __init__(self, path: str, words: list[bytes], stack: ExitStack) -> None:
        self.asked: list[bytes] = []
        self._words = words
        self._ended = threading.Event()
        self._socket = stack.enter_context(socket.socket(socket.AF_UNIX))
        self._socket.bind(path)
        self._socket.listen()
        thread = threading.Thread(target=self._serve)
        thread.start()
        stack.callback(thread.join, PATIENCE)
        stack.callback(self._ended.set)

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            for number, word in enumerate(self._words):
                if number:
                    self.asked.append(connection.recv(4096))
                if word == b"silence":
                    self._ended.wait(PATIENCE)
                elif word:
                    connection.sendall(word)
