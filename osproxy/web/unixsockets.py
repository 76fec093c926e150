"""
Unix sockets, of which a crash leaves the name in the file system.

Twisted takes it away if the lock beside it has the number of a process that is no more. But numbers
come again after a boot, and in a container ours is always the same; then the next start would fail,
and each one after it. Whether somebody listens, the kernel says.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort, IProtocolFactory


@frozen
class Unlocked:
    """A reactor that takes away what a crash has left, and wants no locks."""

    _reactor: Any

    def listenUNIX(  # noqa: N802
        self,
        address: str,
        factory: IProtocolFactory,
        backlog: int = 50,
        mode: int = 0o666,
        **_: Any,
    ) -> IListeningPort:
        """See `twisted.internet.interfaces.IReactorUNIX`."""
        remove_left(address)
        port: IListeningPort = self._reactor.listenUNIX(address, factory, backlog, mode)
        return port

    def __getattr__(self, name: str) -> Any:
        """Have all else of the reactor."""
        return getattr(self._reactor, name)


def remove_left(address: str) -> None:
    """Take away a socket at which nobody listens. All else is found out by who tries to listen."""
    if address.startswith("\0"):
        # It is not in the file system.
        return
    with suppress(OSError):
        if stat.S_ISSOCK(os.lstat(address).st_mode) and not _is_listened_at(address):
            os.unlink(address)


def _is_listened_at(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as asking:
        try:
            asking.connect(address)
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            # So many knock that there is no room for another.
            return True
    return True
