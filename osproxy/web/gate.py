"""
Whether those who knock are let in: listeners stop accepting while there is no room.

Who is not accepted waits in the kernel's queue, and is served once there is room again. Otherwise
Twisted accepts and closes once there is no descriptor left, with a line in the log for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.logger import Logger

from osproxy.descriptors import lowest_free

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort

ACCEPTS_A_TURN = 16
"""Connections to accept before others have their turn: a storm must not keep them waiting."""

_log = Logger()


@define(eq=False)
class Gate:
    """
    The listeners of clients, all of which accept or none.

    :ivar descriptors: from this number on a descriptor is not for a new connection, but for what
        those who are served need besides.
    :ivar shut: whether none accepts.
    """

    descriptors: int
    shut: bool = field(init=False, default=False)
    _ports: list[Any] = field(init=False, factory=list)

    def add(self, port: IListeningPort) -> None:
        """Take charge of a listener."""
        # One that was passed to us is wrapped.
        self._ports.append(getattr(port, "original", port))
        self.calm()

    def clear(self) -> None:
        """Know no listener any more: they have been closed."""
        self._ports.clear()

    def calm(self) -> None:
        """Have each listener accept a few at a time; it has ideas of its own of how many."""
        for port in self._ports:
            port.numberAccepts = ACCEPTS_A_TURN

    def close(self) -> None:
        """Accept nobody."""
        if not self.shut:
            self.shut = True
            for port in self._ports:
                port.stopReading()

    def open(self) -> None:
        """Accept again."""
        if self.shut:
            self.shut = False
            for port in self._ports:
                port.startReading()
            _log.debug("connections are accepted again")

    def short(self, descriptor: int | None = None) -> bool:
        """
        Whether descriptors run out.

        :param descriptor: the one that was had last, of which none lower is free; without it, it
            is found out.
        """
        if descriptor is None:
            descriptor = lowest_free()
        return descriptor is None or descriptor >= self.descriptors
