"""
Whether those who knock are let in: listeners stop accepting while there is no room.

Who is not accepted waits in the kernel's queue, and is served once there is room again. Otherwise
Twisted accepts and closes once there is no descriptor left, with a line in the log for each, or
tries again at once, without end.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.logger import Logger

from osproxy.descriptors import left, lowest_free

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IListeningPort

ACCEPTS_A_TURN = 16
"""Connections to accept before others have their turn: a storm must not keep them waiting."""

# With more descriptors left than this a turn of accepting does not take the last one.
_PLENTY = 4 * ACCEPTS_A_TURN

_log = Logger()


@define(eq=False)
class Gate:
    """
    The listeners of clients, all of which accept or none.

    :ivar descriptors: from this number on a descriptor is not for a new connection, but for what
        those who are served need besides.
    :ivar none_left: called instead of accepting when there is no descriptor at all, as when the
        limit was lowered, or the machine has none; whoever sets it sees to it that it opens again.
    :ivar shut: whether none accepts.
    """

    descriptors: int
    none_left: Callable[[], None] = field(init=False)
    shut: bool = field(init=False, default=False)
    _ports: list[Any] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        """Stay shut once none is left, unless somebody knows better."""
        self.none_left = self.close

    def add(self, port: IListeningPort) -> None:
        """Take charge of a listener."""
        # One that was passed to us is wrapped.
        beneath: Any = getattr(port, "original", port)
        beneath.doRead = partial(self._accept, beneath, beneath.doRead)
        self._ports.append(beneath)
        self.calm()

    def _accept(self, port: Any, accept: Callable[[], None]) -> None:
        room = left()
        if room:
            # Some of that room may be taken; of one it is known that it is not.
            port.numberAccepts = ACCEPTS_A_TURN if room > _PLENTY else 1
            accept()
        else:
            self.none_left()

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
