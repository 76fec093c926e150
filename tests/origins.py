"""A real server on the loopback interface for tests of the whole, which keeps to its script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineReceiver

from tests.web.support import listen

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress
    from twisted.python.failure import Failure
    from twisted.trial.unittest import TestCase

HOP_BY_HOP = (
    "Keep-Alive: timeout=5",
    "Proxy-Authenticate: Basic",
    "Trailer: X-Sum",
    "Upgrade: h2c",
)


class Origin(Factory):
    """
    Serves files, each with fields that are meant for the next hop only.

    :ivar asked: the request lines, in order.
    :ivar held: octets after which it waits, by path.
    """

    noisy = False

    def __init__(self, case: TestCase) -> None:
        self.files: dict[str, bytes] = {}
        self.held: dict[str, int] = {}
        self.asked: list[str] = []
        self.open: list[Serving] = []
        self.url = f"http://127.0.0.1:{listen(case, self)}"

    def buildProtocol(self, addr: IAddress | None) -> Serving:
        """Serve a connection."""
        return Serving(self)

    def go_on(self, path: str) -> None:
        """Send what was held of a file."""
        del self.held[path]
        for serving in tuple(self.open):
            serving.go_on()


class Serving(LineReceiver):
    """One connection."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._lines: list[str] = []
        self._rest = b""

    def connectionMade(self) -> None:
        """Be known."""
        self._origin.open.append(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Be forgotten."""
        self._origin.open.remove(self)

    def lineReceived(self, line: bytes) -> None:
        """Take a line, and answer after the last."""
        if line:
            self._lines.append(line.decode())
            return
        asked, self._lines = self._lines[0], []
        self._origin.asked.append(asked)
        path = asked.split()[1]
        content = self._origin.files.get(path)
        if content is None:
            self._write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        head = (
            "HTTP/1.1 200 OK",
            f"Content-Length: {len(content)}",
            "Last-Modified: Thu, 01 Jan 1970 01:00:00 GMT",
            *HOP_BY_HOP,
            "",
            "",
        )
        now = self._origin.held.get(path, len(content))
        self._write("\r\n".join(head).encode() + content[:now])
        self._rest = content[now:]

    def go_on(self) -> None:
        """Send what was held."""
        rest, self._rest = self._rest, b""
        self._write(rest)

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)
