"""
Who is connected: how many from where, and when the last has gone.

Nothing here touches a socket. The connections themselves are `osproxy.web.channel.Channel`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred

from osproxy.config.clients import allows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from osproxy.config.clients import Peer


class Connection(Protocol):
    """
    What is registered.

    :ivar origin: the address that it counts against.
    """

    origin: str

    @property
    def busy(self) -> bool:
        """Whether a response is under way."""

    def sweep(self, now: float, measure: bool) -> None:
        """Close the connection if something is overdue; ``measure`` whether its client stalls."""

    def drain(self) -> None:
        """Take no further request; close once nothing is under way."""

    def abort(self) -> None:
        """Break the connection now."""


@define(eq=False)
class Connections:
    """
    The open connections of all listeners.

    :ivar limit: connections that one address may have.
    :ivar unlimited: whose connections carry many clients, so that any number is let in.
    :ivar refused: connections that were refused for it.
    """

    limit: int
    unlimited: tuple[Peer, ...] = ()
    refused: int = 0
    _open: dict[Connection, None] = field(factory=dict, init=False)
    _of: Counter[str] = field(factory=Counter, init=False)
    _waiting: list[Deferred[None]] = field(factory=list, init=False)

    def add(self, connection: Connection) -> bool:
        """Register a connection, or say that its address has its fill of them."""
        full = self._of[connection.origin] >= self.limit
        if full and not allows(self.unlimited, connection.origin):
            self.refused += 1
            return False
        self._of[connection.origin] += 1
        self._open[connection] = None
        return True

    def remove(self, connection: Connection) -> None:
        """Forget a connection that has ended; one that was refused was never known."""
        if connection not in self._open:
            return
        del self._open[connection]
        self._of[connection.origin] -= 1
        if not self._of[connection.origin]:
            del self._of[connection.origin]
        if not self._open:
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)

    def __len__(self) -> int:
        """Count them."""
        return len(self._open)

    def __iter__(self) -> Iterator[Connection]:
        """Go through those that are open now, whatever ends meanwhile."""
        return iter(tuple(self._open))

    @property
    def busy(self) -> int:
        """How many have a response under way."""
        return sum(connection.busy for connection in self._open)

    def when_empty(self) -> Deferred[None]:
        """Fire once no connection is open."""
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        if self._open:
            self._waiting.append(waiter)
        else:
            waiter.callback(None)
        return waiter
