"""
Loopback ports that the kernel picks and that stay ours.
"""

from __future__ import annotations

import socket

from tests.integration.tools import DEADLINE


class Port:
    """
    A port of 127.0.0.1 that a program started later may listen on, again and again.

    A bound socket that does not listen keeps the kernel from giving the port to others, and does
    not stand in the way of a listener that sets SO_REUSEADDR, as nginx and Twisted do.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host, 0))
        self.number: int = self._socket.getsockname()[1]

    def __str__(self) -> str:
        """Give the address as a URL has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.number}"

    def answers(self) -> bool:
        """Tell whether somebody accepts connections there."""
        try:
            socket.create_connection((self.host, self.number), timeout=DEADLINE).close()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()
