"""
HTTP/1.1 written and read by hand, so that nothing is mended on the way.

`Connection` says what it is told, octet by octet, and takes answers apart; `fetch` is one question
on a connection of its own. `Download` reads a body at a pace.
"""

from __future__ import annotations

import hashlib
import socket
import time
from typing import TYPE_CHECKING, Self

from attrs import field, frozen

from tests.integration.tools import DEADLINE

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from tests.integration.ports import Port

#: Seconds within which a connection is closed that is closed at once: less than any patience that
#: the server has, more than a machine that stalls needs.
AT_ONCE = 20.0
_CHUNK = 256 * 1024


@frozen
class Answer:
    """
    A response.

    :ivar head: status line and fields, as received.
    :ivar body: what came of it.
    :ivar complete: whether the body ended as its framing promised.
    """

    status: int
    head: bytes
    fields: tuple[tuple[str, str], ...]
    body: bytes = field(default=b"", repr=lambda body: f"{body[:200]!r} of {len(body)}")
    complete: bool = True

    def field(self, name: str) -> str | None:
        """Give the first field of this name."""
        for each, value in self.fields:
            if each.lower() == name.lower():
                return value
        return None

    @property
    def cache_status(self) -> str:
        """The Cache-Status field, empty if there is none."""
        return self.field("Cache-Status") or ""

    @property
    def age(self) -> int:
        """The Age field, 0 if there is none."""
        return int(self.field("Age") or 0)

    @property
    def digest(self) -> str:
        """The SHA-256 of the body."""
        return hashlib.sha256(self.body).hexdigest()


class Connection:
    """A connection to a server, over TLS if a context is given."""

    def __init__(
        self,
        port: Port,
        *,
        tls: ssl.SSLContext | None = None,
        deadline: float = DEADLINE,
        receive_buffer: int | None = None,
        source: str | None = None,
    ) -> None:
        family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
        plain = socket.socket(family, socket.SOCK_STREAM)
        plain.settimeout(deadline)
        if receive_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            plain.bind((source, 0))
        plain.connect((port.host, port.number))
        self.socket = plain if tls is None else tls.wrap_socket(plain, server_hostname="localhost")
        self._file = self.socket.makefile("rb")
        self._host = str(port)

    def __enter__(self) -> Self:
        """Close it when the block is left."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close it; what was not read is thrown away."""
        self._file.close()
        self.socket.close()

    def send(self, octets: bytes) -> None:
        """Send these octets."""
        self.socket.sendall(octets)

    def ask(
        self, target: str, fields: Mapping[str, str] | None = None, method: str = "GET"
    ) -> None:
        """Send a request; a Host field is added unless given."""
        asked = {"Host": self._host, **(fields or {})}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {it}" for name, it in asked.items())]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def head(self) -> Answer:
        """Read status line and fields. What follows is the caller's."""
        lines: list[bytes] = []
        while True:
            line = self._file.readline(65536)
            if not line:
                raise ConnectionError(f"closed within a head: {b''.join(lines)!r}")
            lines.append(line)
            if line == b"\r\n":
                break
        fields = []
        for line in lines[1:-1]:
            name, _, value = line.decode("latin-1").partition(":")
            fields.append((name, value.strip()))
        return Answer(int(lines[0].split()[1]), b"".join(lines), tuple(fields))

    def read(self, octets: int) -> bytes:
        """Read so many octets, fewer only if the connection ends."""
        return self._file.read(octets)

    def read1(self, octets: int) -> bytes:
        """Read what there is, at least one octet, none if the connection has ended."""
        return self._file.read1(octets)

    def answer(self, method: str = "GET") -> Answer:
        """Read a response with its body."""
        head = self.head()
        body, complete = b"", True
        if method == "HEAD" or head.status in (204, 304) or head.status < 200:
            pass
        elif (head.field("Transfer-Encoding") or "").lower() == "chunked":
            body, complete = self._chunks()
        elif (length := head.field("Content-Length")) is not None:
            body = self._until_end(int(length))
            complete = len(body) == int(length)
        else:
            body = self._until_end(None)
        return Answer(head.status, head.head, head.fields, body, complete)

    def _until_end(self, length: int | None) -> bytes:
        parts, got = [], 0
        try:
            while length is None or got < length:
                part = self._file.read1(_CHUNK if length is None else min(_CHUNK, length - got))
                if not part:
                    break
                parts.append(part)
                got += len(part)
        except ConnectionError:
            # Cut in the middle: the caller sees that it is short.
            pass
        return b"".join(parts)

    def _chunks(self) -> tuple[bytes, bool]:
        parts: list[bytes] = []
        try:
            while True:
                size = int(self._file.readline(1024).split(b";")[0], 16)
                part = self._file.read(size)
                parts.append(part)
                if len(part) < size or self._file.readline(1024) != b"\r\n":
                    return b"".join(parts), False
                if size == 0:
                    return b"".join(parts), True
        except (ConnectionError, ValueError):
            return b"".join(parts), False

    def closed_within(self, seconds: float = AT_ONCE) -> bool:
        """Tell whether the server closes the connection within so many seconds, or at once."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True


def fetch(
    port: Port,
    target: str,
    fields: Mapping[str, str] | None = None,
    method: str = "GET",
    *,
    tls: ssl.SSLContext | None = None,
    deadline: float = DEADLINE,
    source: str | None = None,
) -> Answer:
    """Ask one question on a connection of its own and read the whole answer."""
    with Connection(port, tls=tls, deadline=deadline, source=source) as connection:
        connection.ask(target, fields, method)
        return connection.answer(method)


@frozen
class Download:
    """
    How a large body came.

    :ivar got: octets of the body.
    :ivar digest: their SHA-256.
    """

    head: Answer
    got: int
    digest: str


def download(
    port: Port,
    target: str,
    *,
    fields: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    pace: Callable[[float], int | None] = lambda seconds: None,
    begins: Callable[[], object] = lambda: None,
    leave_at: int | None = None,
    deadline: float = DEADLINE,
) -> Download:
    """
    Read a body without keeping it.

    :param pace: how many octets may have been read so many seconds after the start; None for all.
    :param begins: called once the first octets are there.
    :param leave_at: hang up after so many octets.
    """
    begin = time.monotonic()
    digest, got = hashlib.sha256(), 0
    # A small buffer, or the kernel would read on while we are slow.
    with Connection(port, tls=tls, deadline=deadline, receive_buffer=128 * 1024) as connection:
        connection.ask(target, fields)
        head = connection.head()
        length = int(head.field("Content-Length") or 0)
        end = length if leave_at is None else min(length, leave_at)
        while got < end:
            allowed = pace(time.monotonic() - begin)
            if allowed is not None and got >= allowed:
                # The scenario: a client at its own pace.
                time.sleep(0.02)
                continue
            most = _CHUNK if allowed is None else min(_CHUNK, allowed - got)
            part = connection.read1(min(most, end - got))
            if not part:
                break
            if got == 0:
                begins()
            digest.update(part)
            got += len(part)
    return Download(head, got, digest.hexdigest())
