"""
Where lines of a log go: a file or a standard stream, which nobody ever waits for.

A pipe that nobody reads takes no more at some time, and so does a socket. Whoever writes to it then
hangs, and with the reactor's thread all of osproxy; so what is not taken at once is left to who has
written it. Only a disk is waited for.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Said = TypeVar("_Said", contravariant=True)

STDOUT, STDERR = 1, 2

# writev(2) takes 1024.
_AT_ONCE = 256

_TO_ADD = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
_AGAIN = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
# As of `open`: what of it counts, the umask says.
_MODE = 0o666

OFFER_AGAIN = 0.02
"""Seconds until what was not taken at once is offered again."""

LAST_OFFERS = 100
"""How often that is offered again which is left at the end."""


class Sink(Protocol):
    """Where entries go."""

    def write(self, entries: Sequence[bytes]) -> int:
        """
        Write what is taken without waiting, from the first on, and say how many entries that are.

        :raises OSError: when the first one cannot be written, now or later.
        """

    def close(self) -> None:
        """
        Write no more.

        :raises OSError: when what was written is lost after all.
        """


@frozen(eq=False)
class Output(Generic[_Said]):
    """
    What a log is written to.

    :ivar form: makes an entry of what is said.
    """

    sink: Sink
    form: Callable[[_Said], bytes]


def takes_over(old: Output[Any] | None, new: Output[Any] | None) -> bool:
    """
    Say whether what is left for an output can go to another, its successor.

    If that is the same file or pipe, it goes on with the line that was begun.
    """
    if old is None or new is None:
        return False
    if isinstance(old.sink, LogFile) and isinstance(new.sink, LogFile):
        new.sink.follow(old.sink)
    return type(old.sink) is type(new.sink)


class _Way(Protocol):
    def fileno(self) -> int:
        """Give the descriptor that it is now."""

    def put(self, pieces: Sequence[bytes]) -> int:
        """Write what is taken at once, and say how many octets that are."""

    def close(self) -> None:
        """Let go of it."""


def open_file(where: str, stream: int) -> LogFile:
    """
    Open a file to add to, ``-`` being a standard stream.

    That is the process's own, not `sys.stdout`, which twistd turns into its own log. It stays open
    for others, who may replace it: a daemon does so after this.

    :raises OSError: when the file cannot be had; a pipe cannot while nobody reads it.
    """
    if where == "-":
        # It may be closed.
        os.fstat(stream)
        return LogFile(_Stream(stream))
    try:
        descriptor = os.open(where, _TO_ADD, _MODE)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(error.errno, "it is a pipe, and nobody reads it", where) from None
        raise
    return LogFile(_Opened(descriptor), None if _is_torn(descriptor) else b"")


def _is_torn(descriptor: int) -> bool:
    """Whether a file ends within a line; who may not read it cannot tell."""
    found = os.fstat(descriptor)
    if not (stat.S_ISREG(found.st_mode) and found.st_size):
        return False
    try:
        reading = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.pread(reading, 1, found.st_size - 1) != b"\n"
    finally:
        os.close(reading)


@define(eq=False)
class LogFile:
    """
    Writes at once: nothing is kept back that a crash could take.

    :param begun: what there is of the last line; None where it is not known, but there is some.
    """

    _way: _Way
    _begun: bytes | None = b""

    def write(self, entries: Sequence[bytes]) -> int:
        """
        See `Sink`.

        One line more may be written in part. If it is not the first of the next time, that begins
        on a line of its own.
        """
        taken = 0
        while taken < len(entries):
            try:
                taken += self._offer(entries[taken : taken + _AT_ONCE])
            except BlockingIOError:
                break
            except OSError:
                if not taken:
                    raise
                break
        return taken

    def follow(self, other: LogFile) -> None:
        """Go on where another has ended, if both are the same."""
        if os.path.sameopenfile(self._way.fileno(), other._way.fileno()):
            self._begun = other._begun

    def close(self) -> None:
        """See `Sink`."""
        self._way.close()

    def _offer(self, entries: Sequence[bytes]) -> int:
        """Write once, and say how many lines are whole by that."""
        if self._begun is None or not entries[0].startswith(self._begun):
            self._way.put([b"\n"])
            self._begun = b""
        at = len(self._begun)
        at += self._way.put([entries[0][at:], *entries[1:]])
        for number, entry in enumerate(entries):
            if at < len(entry):
                self._begun = entry[:at]
                return number
            at -= len(entry)
        self._begun = b""
        return len(entries)


@frozen(eq=False)
class _Opened:
    """A descriptor of a disk, or one that was opened here not to wait."""

    _descriptor: int

    def fileno(self) -> int:
        """See `_Way`."""
        return self._descriptor

    def put(self, pieces: Sequence[bytes]) -> int:
        """See `_Way`."""
        return os.writev(self._descriptor, pieces)

    def close(self) -> None:
        """See `_Way`."""
        os.close(self._descriptor)


@frozen(eq=False)
class _Borrowed:
    """
    A descriptor of others, who may wait or not: it is looked at before.

    Then it takes as much as pipes write in one go, unless somebody else is faster.
    """

    _descriptor: int

    def fileno(self) -> int:
        """See `_Way`."""
        return self._descriptor

    def put(self, pieces: Sequence[bytes]) -> int:
        """See `_Way`."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(self._descriptor, b"".join(pieces)[: select.PIPE_BUF])

    def close(self) -> None:
        """See `_Way`."""


@frozen(eq=False)
class _Connected:
    """A socket, which is told each time not to wait."""

    _socket: socket.socket

    def fileno(self) -> int:
        """See `_Way`."""
        return self._socket.fileno()

    def put(self, pieces: Sequence[bytes]) -> int:
        """See `_Way`."""
        return self._socket.sendmsg(pieces, (), socket.MSG_DONTWAIT)

    def close(self) -> None:
        """See `_Way`."""
        self._socket.close()


def _way_to(stream: int, mode: int) -> _Way:
    if stat.S_ISREG(mode):
        return _Opened(os.dup(stream))
    if stat.S_ISSOCK(mode):
        return _Connected(socket.socket(fileno=os.dup(stream)))
    try:
        # Not to wait is said of what was opened, and others have that as well: so, once more.
        again = os.open(f"/proc/self/fd/{stream}", _AGAIN)
    except OSError:
        # It is somebody else's, or nobody reads it.
        return _Borrowed(stream)
    return _Opened(again)


@define(eq=False)
class _Stream:
    """A standard stream, whatever that is at the time: a daemon has another one."""

    _number: int
    _way: _Way | None = field(default=None, init=False)
    _is: tuple[int, int] | None = field(default=None, init=False)

    def fileno(self) -> int:
        """See `_Way`."""
        return self._number

    def put(self, pieces: Sequence[bytes]) -> int:
        """See `_Way`."""
        found = os.fstat(self._number)
        if self._way is None or self._is != (found.st_dev, found.st_ino):
            self.close()
            self._is = found.st_dev, found.st_ino
            self._way = _way_to(self._number, found.st_mode)
        return self._way.put(pieces)

    def close(self) -> None:
        """See `_Way`."""
        way, self._way = self._way, None
        if way is not None:
            way.close()
