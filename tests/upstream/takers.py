"""
An origin that only takes what is sent, and says what the test tells it when the test tells it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from tests.upstream.origins import Connection, Origin

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress


class Taker(Connection):
    """
    One connection.

    :ivar taken: all that was sent, octet for octet.
    """

    origin: Takers

    def __init__(self, origin: Takers) -> None:
        super().__init__(origin)
        self.taken = bytearray()

    def connectionMade(self) -> None:
        """Tell who waits for it."""
        self.origin.took(self)

    def dataReceived(self, data: bytes) -> None:
        """Take octets."""
        self.taken += data
        self.origin.took(self)

    def pause(self) -> None:
        """Take nothing for now."""
        assert self.transport is not None
        self.transport.pauseProducing()  # type: ignore[attr-defined]

    def resume(self) -> None:
        """Go on after `pause`."""
        assert self.transport is not None
        self.transport.resumeProducing()  # type: ignore[attr-defined]


class Takers(Origin):
    """Takes connections."""

    def __init__(self) -> None:
        super().__init__()
        self._expected: list[tuple[bytes, Deferred[Taker]]] = []

    def buildProtocol(self, addr: IAddress | None) -> Taker:
        """Take a connection."""
        taker = Taker(self)
        self.connections.append(taker)
        return taker

    def took(self, taker: Taker) -> None:
        """Take note that more has come."""
        expected, self._expected = self._expected, []
        for end, waiter in expected:
            if taker.taken.endswith(end):
                waiter.callback(taker)
            else:
                self._expected.append((end, waiter))

    def until(self, end: bytes) -> Deferred[Taker]:
        """Fire with a connection when what was sent by it ends so; nothing is any connection."""
        waiter: Deferred[Taker] = Deferred()
        self._expected.append((end, waiter))
        return waiter
