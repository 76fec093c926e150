"""A server on a Unix socket that says what a test tells it to."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase


class SocketServer:
    """
    Answers each connection with the same octets.

    :ivar path: of the socket, short as it has to be.
    :ivar asked: the first line of each request.
    """

    def __init__(self, case: SynchronousTestCase, answer: bytes) -> None:
        folder = tempfile.mkdtemp(prefix="osproxy-")
        self.path = Path(folder) / "control"
        self.asked: list[str] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        thread = threading.Thread(target=self._accept)
        thread.start()

        def close() -> None:
            # A close alone does not wake the thread that accepts.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            thread.join()
            shutil.rmtree(folder)

        case.addCleanup(close)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                self.asked.append(file.readline().decode().strip())
                while file.readline().strip():
                    continue
                connection.sendall(self._answer)


def chunked(*lines: object, whole: bool = True) -> bytes:
    """Write a response of JSON lines, a chunk each."""
    pieces = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
    for line in lines:
        text = json.dumps(line).encode() + b"\n"
        pieces.append(b"%x\r\n%s\r\n" % (len(text), text))
    return b"".join([*pieces, b"0\r\n\r\n" if whole else b""])
