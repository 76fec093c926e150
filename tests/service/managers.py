"""A service manager that only listens."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase


class Manager:
    """
    A datagram socket as ``$NOTIFY_SOCKET`` names one.

    :ivar address: what that variable says.
    """

    def __init__(self, case: SynchronousTestCase, address: str | None = None) -> None:
        # In the test's own directory, relative since the kernel takes no long names.
        self.address = case.mktemp() if address is None else address
        Path(self.address).parent.mkdir(exist_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.setblocking(False)
        name = self.address
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)

    def heard(self) -> list[list[str]]:
        """Give the lines of each message that has come since."""
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(65536).decode().split("\n"))
            except BlockingIOError:
                return messages
