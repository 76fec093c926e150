"""
A body to a client, at the client's pace.

`send` is one loop for stored and growing files alike, for all of a file, a part of it or many: wait
for octets, move some, go on. What moving means depends on the connection: on plain TCP the kernel
copies from the file to the socket, elsewhere the octets pass through us in small blocks. A body
that cannot be finished raises, and whoever called breaks the connection.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer, IPushProducer, ITCPTransport
from zope.interface import implementer

from osproxy.http.multipart import octets_of
from osproxy.model import BodyBroken, BodyDiverted
from osproxy.store.pagecache import cached, read_cached
from osproxy.web.passing import pass_on, release

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.web.http import Request

    from osproxy.http.multipart import Pieces
    from osproxy.model import FileBody
    from osproxy.threads import InThread
    from osproxy.web.bandwidth import Pace

#: Octets a turn by sendfile: more makes connections unfair to each other, less costs CPU.
TURN = 1 << 20
#: Octets a write elsewhere: TLS cuts into 16 KiB records anyway.
BLOCK = 64 << 10
# Asked of the kernel ahead of the reader.
_AHEAD = 8 << 20
# Requests that one response may cost an upstream when its file grows no further.
_PASSAGES_AT_MOST = 16
# What is said of a file that cannot be read, and never of a connection.
_UNREADABLE = frozenset({errno.EIO, errno.EBADMSG, errno.ESTALE, errno.EUCLEAN})


class ClientGone(Exception):
    """The connection was lost."""


class Mover(Protocol):
    """Moves octets of a file to a client."""

    async def ready(self) -> None:
        """
        Return when the client takes octets.

        :raises ClientGone: when nobody does.
        """

    async def move(self, body: FileBody, position: int, stop: int) -> int:
        """
        Move some of the octets between ``position`` and ``stop``, and return how many.

        :raises ClientGone: when nobody takes them.
        """

    def end(self) -> None:
        """Give the connection back; idempotent."""


async def send(
    request: Request,
    body: FileBody,
    pieces: Pieces | None,
    in_thread: InThread,
    sent: Callable[[int], None],
    pace: Pace | None = None,
) -> None:
    """
    Send these pieces in order, or all of the body, however much it will be, where they are None.

    :param sent: told how many octets were moved, each time.
    :param pace: what the client may have, None for as much as it takes.
    :raises BodyBroken: when the body ends before its end.
    :raises ClientGone: when the client does.
    """
    octets = _at_hand(body, pieces) if pace is None else None
    if octets is not None:
        request.write(octets)
        sent(len(octets))
        return
    sending = _Sending(request, body, pieces, in_thread, sent, pace)
    try:
        if pieces is None:
            await sending.span(0, None)
            return
        for piece in pieces:
            if isinstance(piece, bytes):
                sending.hold(piece)
            else:
                await sending.span(piece.start, piece.stop)
        sending.release()
    finally:
        sending.end()


def _at_hand(body: FileBody, pieces: Pieces | None) -> bytes | None:
    """Give all that is to be sent, if it is little, and there, and in memory."""
    if pieces is None or not 0 < octets_of(pieces) <= BLOCK:
        return None
    octets = []
    for piece in pieces:
        if isinstance(piece, bytes):
            octets.append(piece)
            continue
        if piece.stop > body.available:
            return None
        try:
            octets.append(read_cached(body.fileno(), body.offset + piece.start, piece.length))
        except OSError:
            # Whoever reads it as others do meets that again, and says so.
            return None
        if len(octets[-1]) < piece.length:
            return None
    return b"".join(octets)


class _Sending:
    """A body on its way to one client."""

    def __init__(
        self,
        request: Request,
        body: FileBody,
        pieces: Pieces | None,
        in_thread: InThread,
        sent: Callable[[int], None],
        pace: Pace | None,
    ) -> None:
        self._request = request
        self._body = body
        self._pieces = pieces
        self._in_thread = in_thread
        self._sent = sent
        self._pace = pace
        self._held = b""
        self._mover: Mover | None = None
        self._passages = 0

    def hold(self, octets: bytes) -> None:
        """
        Send these as they are, but not before the span behind them has begun to be there.

        Until the first octet goes out it can still be said that there will be none.
        """
        self._held += octets

    def release(self) -> None:
        """Send what is held."""
        held, self._held = self._held, b""
        if held:
            self._request.write(held)
            self._sent(len(held))

    async def span(self, start: int, stop: int | None) -> None:
        """Send the octets of the body from ``start`` to ``stop``, or to its end."""
        body, position = self._body, start
        while stop is None or position < stop:
            try:
                if body.available <= position and not await body.wait(position):
                    break
            except BodyDiverted as diverted:
                await self._onward(diverted, position, stop)
                return
            limit = body.available if stop is None else min(body.available, stop)
            self.release()
            if self._mover is None:
                self._mover = self._choose()
            try:
                moved = await self._move(self._mover, position, limit)
            except OSError as error:
                # Other errors may well be the connection's.
                if error.errno not in _UNREADABLE:
                    raise
                body.unreadable(error)
                raise BodyBroken(f"the file cannot be read: {error.strerror}") from error
            position += moved
            self._sent(moved)
        if stop is not None and position < stop:
            raise BodyBroken("the body is shorter than was said")

    async def _move(self, mover: Mover, position: int, limit: int) -> int:
        """Move some octets, no more than the client may have by now."""
        if self._pace is None:
            return await mover.move(self._body, position, limit)
        # Not before it takes them: what is granted to one is not there for the others.
        await mover.ready()
        granted, moved = await self._pace.take(limit - position), 0
        try:
            moved = await mover.move(self._body, position, position + granted)
        finally:
            self._pace.give_back(granted - moved)
        return moved

    async def _onward(self, diverted: BodyDiverted, position: int, stop: int | None) -> None:
        self._passages += 1
        if self._passages > _PASSAGES_AT_MOST:
            raise BodyBroken("too many parts of it would have to be asked for one by one")
        self.end()
        onward = await diverted.onward(position, stop)
        try:
            self.release()
            await pass_on(self._request, onward, self._sent, self._pace)
        finally:
            onward.close()

    def end(self) -> None:
        """Give the connection back."""
        mover, self._mover = self._mover, None
        if mover is not None:
            mover.end()

    def _choose(self) -> Mover:
        request, pieces = self._request, self._pieces
        transport = request.channel.transport
        # Head and body of a small file go out in one write, which beats a system call more; and a
        # body of unknown length is chunked, which only the request can do.
        if pieces is None or octets_of(pieces) <= BLOCK or not ITCPTransport.providedBy(transport):
            return _Writing(request, self._in_thread)
        if not hasattr(transport, "startWriting") or request.isSecure():
            return _Writing(request, self._in_thread)
        return _Sendfile(request, self._in_thread)


@implementer(IPushProducer)
class _Writing:
    """Reads blocks and writes them to the request, as long as the connection takes them."""

    def __init__(self, request: Request, in_thread: InThread) -> None:
        self._request = request
        self._in_thread = in_thread
        self._paused = False
        self._gone = False
        self._ended = False
        self._waiting: Deferred[None] | None = None
        request.registerProducer(self, True)

    async def ready(self) -> None:
        if self._paused and not self._gone:
            self._waiting = Deferred()
            await self._waiting
        if self._gone:
            raise ClientGone

    async def move(self, body: FileBody, position: int, stop: int) -> int:
        await self.ready()
        data = await read(body, position, min(BLOCK, stop - position), self._in_thread)
        self._request.write(data)
        return len(data)

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            release(self._request)

    # A flag and not a count: a transport pauses at each write into a full buffer.

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._go_on()

    def stopProducing(self) -> None:
        self._gone = True
        self._go_on()

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


@implementer(IPullProducer)
class _Sendfile:
    """
    Lets the kernel copy from the file to the socket.

    While a body is sent this is the transport's producer in the channel's place: a pull producer is
    asked for more exactly when the transport's own buffer is empty, which is when the socket may be
    written to directly.
    """

    def __init__(self, request: Request, in_thread: InThread) -> None:
        self._channel = request.channel
        # More than an ITransport: a TCP connection of the reactor's, with a descriptor.
        self._transport = cast("Any", request.channel.transport)
        self._in_thread = in_thread
        self._gone = False
        self._ended = False
        self._advised = 0
        self._waiting: Deferred[None] | None = None
        # The head goes into the transport's buffer before we take over.
        request.write(b"")
        self._transport.unregisterProducer()
        self._transport.registerProducer(self, False)

    async def move(self, body: FileBody, position: int, stop: int) -> int:
        while True:
            await self.ready()
            count = min(TURN, stop - position)
            offset = body.offset + position
            await self._warm(body.fileno(), offset, count, ahead=stop - position)
            if self._gone:
                raise ClientGone
            try:
                moved = os.sendfile(self._transport.fileno(), body.fileno(), offset, count)
            except BlockingIOError:
                continue
            except (BrokenPipeError, ConnectionError) as error:
                raise ClientGone from error
            if moved == 0:
                raise OSError(errno.EIO, "the file is shorter than it was")
            return moved

    async def ready(self) -> None:
        # When the transport's buffer is empty, and the socket takes octets.
        self._transport.startWriting()
        self._waiting = Deferred()
        await self._waiting
        if self._gone:
            raise ClientGone

    async def _warm(self, file: int, offset: int, count: int, *, ahead: int) -> None:
        """Have the octets in the page cache, so that sendfile does not wait for the disk."""
        if offset + count > self._advised:
            window = min(ahead, _AHEAD)
            os.posix_fadvise(file, offset, window, os.POSIX_FADV_WILLNEED)
            self._advised = offset + window
        places = (offset, offset + count - 1)
        if not all(cached(file, place, unknown=False) for place in places):
            await self._in_thread(_touch, file, offset, count)

    def end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._gone:
            return
        self._transport.unregisterProducer()
        self._transport.registerProducer(self._channel, True)
        # The transport may have told us, not the channel, that its buffer has drained.
        self._channel.resumeProducing()

    def resumeProducing(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def stopProducing(self) -> None:
        self._gone = True
        self.resumeProducing()


def _touch(file: int, offset: int, count: int) -> None:
    stop = offset + count
    while offset < stop:
        read_now = len(os.pread(file, min(BLOCK * 4, stop - offset), offset))
        if not read_now:
            return
        offset += read_now


async def read(body: FileBody, position: int, count: int, in_thread: InThread) -> bytes:
    """
    Read octets of a body: at once if they are in the page cache, in a thread if not.

    :raises OSError: when the file ends before, or cannot be read.
    """
    offset = body.offset + position
    data = read_cached(body.fileno(), offset, count)
    if not data:
        data = await in_thread(os.pread, body.fileno(), count, offset)
    if not data:
        raise OSError(errno.EIO, "the file is shorter than it was")
    return data
