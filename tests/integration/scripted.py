"""
An upstream that misbehaves as a test tells it to, octet by octet.
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, BinaryIO

from attrs import frozen

from tests.integration.ports import Port
from tests.integration.tools import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable


@frozen
class Question:
    """A request as it came: the first line's parts, fields with lower-case names, and content."""

    method: str
    target: str
    fields: dict[str, str]
    content: bytes = b""


class ScriptedUpstream:
    """
    A server that hands each request to a function, which writes to the connection what it likes.

    A connection is closed when the function returns.

    :ivar asked: every request so far.
    """

    def __init__(self, answer: Callable[[Question, socket.socket], None]) -> None:
        self.asked: list[Question] = []
        self._answer = answer
        self.port = Port()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.port.host, self.port.number))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The address, without a slash at the end."""
        return f"http://{self.port}"

    def close(self) -> None:
        """Stop listening, once; what is being answered goes on."""
        if self._listener.fileno() < 0:
            return
        # A close alone does not wake the thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.port.close()

    def count(self, target: str, method: str = "GET") -> int:
        """Say how often this was asked."""
        return sum(1 for it in self.asked if (it.method, it.target) == (method, target))

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file:
            connection.settimeout(DEADLINE)
            try:
                first = file.readline(65536).decode("latin-1").split()
                if len(first) != 3:
                    return
                fields = {}
                while (line := file.readline(65536).decode("latin-1").strip()) != "":
                    name, _, value = line.partition(":")
                    fields[name.lower()] = value.strip()
                question = Question(first[0], first[1], fields, _content(file, fields))
                self.asked.append(question)
                self._answer(question, connection)
            except OSError:
                # The asker has left; tests look at what it made of the answer.
                return


def _content(file: BinaryIO, fields: dict[str, str]) -> bytes:
    if fields.get("transfer-encoding") != "chunked":
        return file.read(int(fields.get("content-length", "0")))
    parts = []
    while size := int(file.readline(1024), 16):
        parts.append(file.read(size))
        file.readline(1024)
    file.readline(1024)
    return b"".join(parts)


def response(status: str, body: bytes = b"", **fields: str) -> bytes:
    """Write a whole response; underscores in names of fields stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    named.setdefault("Content-Length", str(len(body)))
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in named.items())]
    lines += ["Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def saying(octets: bytes) -> Callable[[Question, socket.socket], None]:
    """Answer every request with the same octets."""

    def answer(question: Question, connection: socket.socket) -> None:
        connection.sendall(octets)

    return answer


def pausing(
    content: bytes, at: int, goes_on: threading.Event
) -> Callable[[Question, socket.socket], None]:
    """Answer every request with the same content, what is behind ``at`` not before its cue."""

    def answer(question: Question, connection: socket.socket) -> None:
        head = response("200 OK", b"", Content_Length=str(len(content)), ETag='"1"')
        connection.sendall(head + content[:at])
        goes_on.wait(DEADLINE)
        connection.sendall(content[at:])

    return answer
