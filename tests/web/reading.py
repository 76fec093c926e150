"""Requests as clients write them, and responses as they read them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen
from twisted.internet import reactor as real_reactor  # noqa: TID251
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import deferLater

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure


def request(target: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    """Write a request."""
    lines = (f"{method} {target} HTTP/{version}", "Host: x", *fields, "", "")
    return "\r\n".join(lines).encode("latin-1")


@frozen
class Got:
    """
    A response as a client reads it.

    :ivar whole: whether its framing says that it is complete.
    """

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    whole: bool = True

    def __getitem__(self, name: str) -> str | None:
        """Give the one field of this name."""
        found = [value for key, value in self.fields if key.lower() == name.lower()]
        assert len(found) < 2, f"{name} is there {len(found)} times"
        return found[0] if found else None


def responses(data: bytes, *, heads: bool = False) -> list[Got]:
    """Take apart what came over a connection; ``heads`` when it was asked by HEAD."""
    found = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        assert end, head
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = tuple((line.partition(": ")[0], line.partition(": ")[2]) for line in lines)
        got = Got(int(first.split()[1]), fields, b"")
        if heads or got.status in (204, 304):
            found.append(got)
            continue
        body, whole, data = _framed(got, data)
        found.append(Got(got.status, fields, body, whole))
    return found


def _framed(got: Got, data: bytes) -> tuple[bytes, bool, bytes]:
    length = got["Content-Length"]
    if length is not None:
        return data[: int(length)], len(data) >= int(length), data[int(length) :]
    if got["Transfer-Encoding"] != "chunked":
        return data, True, b""
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        count = int(size, 16)
        if not count:
            return body, True, data[2:]
        body, data = body + data[:count], data[count + 2 :]
    return body, False, b""


class Client(Protocol):
    """A client over a real socket, which keeps what it reads."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.reason: Failure | None = None
        self._waiting: list[tuple[int, Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.data += data
        self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Remember how it ended."""
        self.reason = reason
        self._look()

    def _look(self) -> None:
        for wanted, waiter in tuple(self._waiting):
            if len(self.data) >= wanted or self.reason is not None:
                self._waiting.remove((wanted, waiter))
                waiter.callback(None)

    def received(self, octets: int) -> Deferred[None]:
        """Fire once so many octets have come, or no more will."""
        waiter: Deferred[None] = Deferred()
        self._waiting.append((octets, waiter))
        self._look()
        return waiter

    def ended(self) -> Deferred[None]:
        """Fire once the connection has ended."""
        return self.received(1 << 60)

    def send(self, data: bytes) -> None:
        """Write."""
        assert self.transport is not None
        self.transport.write(data)

    def read(self, on: bool) -> None:
        """Read on, or stop reading."""
        transport = cast("Any", self.transport)
        (transport.resumeProducing if on else transport.pauseProducing)()

    def half_close(self) -> None:
        """Send no more, and go on reading."""
        cast("Any", self.transport).loseWriteConnection()

    def leave(self) -> None:
        """Break the connection, if it has not ended yet."""
        if self.reason is None:
            cast("Any", self.transport).abortConnection()


def connect(port: int) -> Deferred[Client]:
    """Connect a client to a port of the loopback interface."""
    endpoint = TCP4ClientEndpoint(real_reactor, "127.0.0.1", port, 10)
    connected: Deferred[Client] = connectProtocol(endpoint, Client())
    return connected


def connect_tls(port: int, authority: bytes) -> Deferred[Client]:
    """Connect a client by TLS that trusts this authority's certificate."""
    options = optionsForClientTLS("127.0.0.1", Certificate.loadPEM(authority))
    endpoint = wrapClientTLS(options, TCP4ClientEndpoint(real_reactor, "127.0.0.1", port, 10))
    connected: Deferred[Client] = connectProtocol(endpoint, Client())
    return connected


async def until(condition: Callable[[], object]) -> None:
    """Let the reactor turn until something is so; the test's own timeout is the limit."""
    while not condition():
        await deferLater(real_reactor, 0)


async def turn(count: int = 20) -> None:
    """Let the reactor do what is to be done."""
    for _ in range(count):
        await deferLater(real_reactor, 0)


def digest(content: bytes) -> str:
    """Tell contents apart without printing them."""
    return hashlib.sha256(content).hexdigest()
