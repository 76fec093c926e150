"""
What only the socket beneath a transport knows or can be told.

It is looked for below TLS too. In tests that run in memory there is none, and all of this is off.
"""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
from typing import TYPE_CHECKING

from attrs import define
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import ISystemHandle
from twisted.protocols.policies import ProtocolWrapper

from osproxy.config.clients import UNIX

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, ITransport

NOT_SENT_AT_MOST = 256 * 1024
"""What the kernel queues beyond what is in flight. Without it a send buffer grows to megabytes."""

_INT = struct.Struct("=i")

_BYTES_ACKED = struct.Struct("=120xQ")
"""The beginning of ``struct tcp_info`` up to ``tcpi_bytes_acked`` (linux/tcp.h, since 4.1)."""


def address_text(address: IAddress) -> str:
    """Name a client: its address, an IPv4 one as such though it came to an IPv6 socket."""
    if not isinstance(address, IPv4Address | IPv6Address):
        return UNIX
    host: str = address.host
    return host.removeprefix("::ffff:") if "." in host else host


def socket_beneath(transport: ITransport | None) -> socket.socket | None:
    """Find the socket of a transport, through whatever is wrapped around it."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    handle = transport.getHandle() if ISystemHandle.providedBy(transport) else None
    return handle if isinstance(handle, socket.socket) else None


def tune(connected: socket.socket) -> None:
    """Let a TCP socket send at once, and queue no more than a client needs."""
    if connected.family != socket.AF_UNIX:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_AT_MOST)


def keep_alive(connected: socket.socket) -> None:
    """Have the kernel find out within about a minute and a quarter that a peer is gone."""
    if connected.family != socket.AF_UNIX:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)


@define(eq=False)
class Outflow:
    """
    Whether a peer takes what is sent to it.

    :ivar moved_at: when it was last seen to take something, or had nothing to take.
    """

    socket: socket.socket
    moved_at: float
    _taken: int = 0

    @property
    def queued(self) -> int:
        """Octets in the kernel that the peer has not acknowledged."""
        answer = fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(_INT.size))
        return int(_INT.unpack(answer)[0])

    @property
    def gone(self) -> bool:
        """Whether nobody is at the other end any more, which ending one's side alone is not."""
        poll = select.poll()
        # These two are told without being asked for.
        poll.register(self.socket, 0)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))

    def stalled(self, now: float) -> float:
        """Say for how many seconds octets wait of which the peer takes none."""
        queued = self.queued
        taken = self._acknowledged(queued)
        if not queued or taken != self._taken:
            self._taken, self.moved_at = taken, now
        # A clock that was set back must not give it longer than before.
        self.moved_at = min(self.moved_at, now)
        return now - self.moved_at

    def _acknowledged(self, queued: int) -> int:
        # The queue alone can look unmoved, since it is filled up as fast as it is taken from.
        # What was acknowledged cannot: it only grows. A Unix socket has nothing of the kind.
        if self.socket.family == socket.AF_UNIX:
            return queued
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
        return int(_BYTES_ACKED.unpack(info)[0])
