"""
Whether those who knock are let in: listeners stop accepting while there is no room.

Who is not accepted waits in the kernel's queue, and is served once there is room again. Otherwise
Twisted accepts and closes once the process has no descriptor left, with a line in the log for each,
and where the machine has none it tries again at once, with a line each time.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen
from twisted.logger import Logger

from osproxy.descriptors import EXHAUSTED, lowest_free

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from twisted.internet.interfaces import IListeningPort

ACCEPTS_A_TURN = 16
"""Connections to accept before others have their turn: a storm must not keep them waiting."""

# What accept(2) says of the machine rather than of who connects.
_NO_ROOM = EXHAUSTED | {errno.ENOBUFS, errno.ENOMEM}

_log = Logger()


@define(eq=False)
class Gate:
    """
    The listeners of clients, all of which accept or none.

    :ivar descriptors: from this number on a descriptor is not for a new connection, but for what
        those who are served need besides.
    :ivar shut: whether none accepts.
    :ivar no_room: is told why nobody can be accepted, and is to close the gate for a while.
    """

    descriptors: int
    shut: bool = field(init=False, default=False)
    no_room: Callable[[str], None] = field(init=False)
    _ports: list[Any] = field(init=False, factory=list)

    def add(self, port: IListeningPort) -> None:
        """Take charge of a listener."""
        # One that was passed to us is wrapped.
        own: Any = getattr(port, "original", port)
        own.socket = _Queue(own.socket, self)
        self._ports.append(own)
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


@frozen(eq=False)
class _Queue:
    """The socket of a listener; it says that nobody has come when nobody can be accepted."""

    _socket: socket.socket
    _gate: Gate

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection as `socket.socket` does."""
        try:
            return self._socket.accept()
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            self._gate.no_room(error.strerror or "")
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error

    def __getattr__(self, name: str) -> Any:
        """Have all else of the socket."""
        return getattr(self._socket, name)
