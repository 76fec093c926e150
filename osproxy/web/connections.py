"""
Who is connected: how many from where, who has to make room, and when the last has gone.

Nothing here touches a socket. The connections themselves are `osproxy.web.channel.Channel`.
"""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import TYPE_CHECKING, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred

from osproxy.config.clients import allows, client_of
from osproxy.shedding import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from osproxy.config.clients import Peer

# Seconds in which a connection may be at nothing before it has to make room: a handshake of TLS and
# a head take less, as a rule.
_GRACE = 0.5
# Seconds between two looks at all of them for who could.
_LOOK_EVERY = 0.25


class Connection(Protocol):
    """
    What is registered.

    :ivar origin: the address that it counts against.
    """

    origin: str

    @property
    def busy(self) -> bool:
        """Whether a response is under way."""

    @property
    def waiting_since(self) -> float | None:
        """Since when its client has been waited for; None while something else is."""

    def sweep(self, now: float, measure: bool) -> None:
        """Close the connection if something is overdue; ``measure`` whether its client stalls."""

    def drain(self) -> None:
        """Take no further request; close once nothing is under way."""

    def give_way(self) -> None:
        """Close while nothing is under way."""

    def abort(self) -> None:
        """Break the connection now."""


@define(eq=False)
class Connections:
    """
    The open connections of all listeners.

    Beyond those that are served there are some to spare: they are told that there is no room, but
    for who asks after the server's health, and may be served once others have left.

    :ivar limit: connections that one client may have; the last quarter it may not have in any case.
    :ivar most: connections that are served.
    :ivar unlimited: whose connections carry many clients, so that they have no limit of their own.
    """

    limit: int
    most: int
    unlimited: tuple[Peer, ...] = ()
    _open: dict[Connection, str] = field(factory=dict, init=False)
    _of: Counter[str] = field(factory=Counter, init=False)
    _surplus: set[Connection] = field(factory=set, init=False)
    _waiting: list[Deferred[None]] = field(factory=list, init=False)
    _could_go: dict[str, list[tuple[float, Connection]]] = field(factory=dict, init=False)
    _looked_at: float = field(default=-inf, init=False)

    @property
    def spare(self) -> int:
        """How many there may be that are not served."""
        return max(16, self.most // 16)

    @property
    def full(self) -> bool:
        """Whether there is room for no other, be it to tell it so."""
        return len(self._open) >= self.most + self.spare

    @property
    def roomy(self) -> bool:
        """Whether so many have gone that others may come again."""
        return len(self._open) <= self.most + self.spare // 2

    def add(self, connection: Connection, now: float) -> Reason | None:
        """Register a connection, or say why not; where it has no place, have another make room."""
        client = client_of(connection.origin)
        at_most = min(self.limit, max(1, self.most * 3 // 4))
        crowded = self._of[client] >= at_most and not allows(self.unlimited, connection.origin)
        if crowded and not self.make_room(now, client):
            return Reason.CLIENT_CONNECTIONS
        if self.full:
            return Reason.CONNECTIONS
        if len(self._open) >= self.most:
            self._surplus.add(connection)
            self.make_room(now)
        self._of[client] += 1
        self._open[connection] = client
        return None

    def serves(self, connection: Connection) -> bool:
        """Whether a connection is served; once it was, it is to its end."""
        if connection in self._surplus and len(self._open) <= self.most:
            self._surplus.remove(connection)
        return connection not in self._surplus

    def make_room(self, now: float, client: str | None = None) -> bool:
        """
        Close a connection whose client has been waited for, and say whether there was one.

        :param client: whose; first of the one that has most of them where that is None.
        """
        if not 0 <= now - self._looked_at < _LOOK_EVERY:
            self._looked_at = now
            self._could_go = self._look(now)
        whose = list(self._could_go) if client is None else [client]
        for one in reversed(whose):
            waiting = self._could_go.get(one, [])
            while waiting:
                since, connection = waiting.pop()
                if connection in self._open and connection.waiting_since == since:
                    connection.give_way()
                    return True
            self._could_go.pop(one, None)
        return False

    def settle(self, now: float) -> None:
        """Let go of those who could have made room, once that has not been needed for a while."""
        if not 0 <= now - self._looked_at < 4 * _LOOK_EVERY:
            self._could_go.clear()

    def remove(self, connection: Connection) -> None:
        """Forget a connection that has ended; one that was refused was never known."""
        client = self._open.pop(connection, None)
        if client is None:
            return
        self._surplus.discard(connection)
        self._of[client] -= 1
        if not self._of[client]:
            del self._of[client]
        if not self._open:
            self._could_go.clear()
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

    def _look(self, now: float) -> dict[str, list[tuple[float, Connection]]]:
        """List who could make room: the client with most of them last, its oldest last."""
        found: dict[str, list[tuple[float, Connection]]] = {}
        for connection, client in self._open.items():
            since = connection.waiting_since
            if since is not None and now - since >= _GRACE:
                found.setdefault(client, []).append((since, connection))
        for waiting in found.values():
            waiting.sort(key=lambda one: -one[0])
        return dict(sorted(found.items(), key=lambda one: self._of[one[0]]))
