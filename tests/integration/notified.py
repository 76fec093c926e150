"""
A service manager, as far as a service talks to it.
"""

from __future__ import annotations

import secrets
import socket
import struct
from typing import TYPE_CHECKING

from attrs import frozen

from tests.integration.tools import until

if TYPE_CHECKING:
    from collections.abc import Callable


# asm-generic/socket.h
_SO_TIMESTAMPNS = 35


@frozen
class Message:
    """What was told, and when, by the kernel's clock."""

    lines: tuple[str, ...]
    at: float

    def value(self, name: str) -> str | None:
        """Give the value of a line, None where there is no such line."""
        for line in self.lines:
            if line.startswith(f"{name}="):
                return line.partition("=")[2]
        return None


class Manager:
    """
    Reads what comes to ``$NOTIFY_SOCKET``.

    :ivar address: what that variable says; an abstract one, since a file's may be too long.
    :ivar messages: what has been read.
    """

    def __init__(self) -> None:
        self.address = f"@osproxy-{secrets.token_hex(8)}"
        self.messages: list[Message] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.bind("\0" + self.address[1:])

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def read(self) -> list[Message]:
        """Read what has come, and give all that ever came."""
        while True:
            try:
                text, stamps, *_ = self._socket.recvmsg(65536, 64)
            except BlockingIOError:
                return self.messages
            ((_, _, stamp),) = stamps
            seconds, nanoseconds = struct.unpack("qq", stamp)
            lines = tuple(text.decode().split("\n"))
            self.messages.append(Message(lines, seconds + nanoseconds * 1e-9))

    def heard(self, *names: str) -> list[str]:
        """Give the lines of these names that ever came, in order."""
        return [
            line
            for message in self.read()
            for line in message.lines
            if line.partition("=")[0] in names
        ]

    def until(self, wanted: Callable[[Message], object], what: str) -> Message:
        """Wait for a message."""

        def found() -> list[Message]:
            return [message for message in self.read() if wanted(message)]

        return until(found, what)[0]
