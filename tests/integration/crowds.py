"""
Many clients at once, in one thread.
"""

from __future__ import annotations

import selectors
import socket
import time
from typing import TYPE_CHECKING

from attrs import define, field

from tests.integration.tools import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from tests.integration.ports import Port


def addresses(block: int) -> Iterator[str]:
    """Give addresses of this machine, each once: 127.<block>.1.1 and so on."""
    for third in range(1, 255):
        for fourth in range(1, 255):
            yield f"127.{block}.{third}.{fourth}"


@define(eq=False)
class Crowd:
    """
    Connections that are held.

    :ivar refused: how many could not be made, or were broken when they were used.
    """

    port: Port
    sockets: list[socket.socket] = field(factory=list)
    refused: int = 0

    def join(
        self, sources: Sequence[str], octets: bytes, *, receive_buffer: int | None = None
    ) -> Self:
        """Connect from each of these addresses, and send something."""
        for source in sources:
            client = socket.socket()
            self.sockets.append(client)
            client.settimeout(DEADLINE)
            if receive_buffer is not None:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            try:
                client.bind((source, 0))
                client.connect((self.port.host, self.port.number))
                client.sendall(octets)
            except OSError:
                self.refused += 1
        return self

    def leave(self) -> None:
        """Close all of them."""
        while self.sockets:
            self.sockets.pop().close()


def request(port: Port, target: str, method: str = "GET") -> bytes:
    """Write a request after which the connection ends."""
    return f"{method} {target} HTTP/1.1\r\nHost: {port}\r\nConnection: close\r\n\r\n".encode()


def ask_all(
    port: Port, targets: Sequence[str], method: str = "GET", *, deadline: float = DEADLINE
) -> list[bytes]:
    """
    Ask for all of these at once, by a connection each, and return what came, in no order.

    Nothing came where a connection was refused or broken.
    """
    end = time.monotonic() + deadline
    got: dict[socket.socket, bytes] = {}
    with selectors.DefaultSelector() as selector:
        for target in targets:
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex((port.host, port.number))
            got[client] = b""
            selector.register(client, selectors.EVENT_WRITE, request(port, target, method))
        left = len(got)
        while left and (patience := end - time.monotonic()) > 0:
            for key, events in selector.select(patience):
                over = _go_on(selector, key, events, got)
                if over:
                    selector.unregister(key.fileobj)
                    left -= 1
    for client in got:
        client.close()
    return list(got.values())


def _go_on(
    selector: selectors.BaseSelector,
    key: selectors.SelectorKey,
    events: int,
    got: dict[socket.socket, bytes],
) -> bool:
    client = key.fileobj
    assert isinstance(client, socket.socket)
    try:
        if events & selectors.EVENT_WRITE:
            client.send(key.data)
            selector.modify(client, selectors.EVENT_READ)
            return False
        part = client.recv(65536)
    except OSError:
        return True
    got[client] += part
    return not part


def status_of(answer: bytes) -> int | None:
    """Tell the status of a response; None where none came."""
    return int(answer[9:12]) if answer else None
