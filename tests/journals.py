"""A journal that only listens."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase


def fields(datagram: bytes) -> dict[str, bytes]:
    """Take an entry of the native protocol apart, as journald does."""
    found = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(datagram[:8], "little")
            value, datagram = datagram[8 : 8 + length], datagram[8 + length + 1 :]
        found[name.decode()] = value
    return found


class Listening:
    """
    A datagram socket where journald would have its own.

    :ivar path: where it is.
    """

    def __init__(self, case: SynchronousTestCase) -> None:
        # In the test's own directory, relative since the kernel takes no long names.
        self.path = Path(os.path.relpath(case.mktemp()))
        self.path.parent.mkdir(exist_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.setblocking(False)
        self.socket.bind(str(self.path))

    def heard(self) -> list[dict[str, bytes]]:
        """Give the entries that have come since."""
        entries = []
        while True:
            try:
                entries.append(fields(self.socket.recv(1 << 20)))
            except BlockingIOError:
                return entries
