"""
The content of a request, as it comes in.

Whoever answers takes it or leaves it. Until it is taken the client is not read from beyond a small
stretch ahead; what is left is dropped as it comes, by the connection, if that is worth while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from twisted.internet.defer import Deferred

from osproxy.http.chunked import ChunkedDecoder
from osproxy.http.messages import End
from osproxy.model import BodyBroken

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.http.messages import Framing

_GIVEN_UP = "the content of the request was given up"


class BadContent(BodyBroken):
    """
    The content of a request broke off, is not framed as it should be, or too much.

    :ivar status: what the client, whose fault it is, is to be told.
    """

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@define(eq=False)
class _Counted:
    """Takes a body of known length off the front of what has come."""

    left: int

    @property
    def done(self) -> bool:
        """Whether the body has ended."""
        return not self.left

    def take(self, buffer: bytearray) -> bytes:
        """See `osproxy.http.chunked.ChunkedDecoder.take`."""
        content = bytes(buffer[: self.left])
        del buffer[: self.left]
        self.left -= len(content)
        return content


class RequestContent:
    """
    An `osproxy.model.PassingBody` that the connection feeds.

    :ivar expected: whether the client waits to be told that it may send it (RFC 9110 section
        10.1.1).
    :ivar taken: whether somebody has begun to take it.
    :ivar trouble: why the rest will not come.
    """

    def __init__(
        self,
        framing: Framing,
        *,
        expected: bool,
        invite: Callable[[], None],
        flow: Callable[[], None],
    ) -> None:
        """
        Begin.

        :param invite: called to tell the client that it may send.
        :param flow: called when more is wanted.
        """
        self.length = framing if isinstance(framing, int) else None
        self.expected = expected
        self.taken = False
        self.trouble: BodyBroken | None = None
        self._decoder = ChunkedDecoder() if isinstance(framing, End) else _Counted(framing)
        self._invite = invite
        self._flow = flow
        self._ready = bytearray()
        self._come = 0
        self._at_most: int | None = None
        self._sink: Callable[[bytes], None] | None = None
        self._over: Deferred[None] | None = None
        self._paused = False
        self._closed = False

    @property
    def done(self) -> bool:
        """Whether all of it has come."""
        return self._decoder.done

    @property
    def held(self) -> int:
        """Octets that have come and nobody has taken."""
        return len(self._ready)

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for more to come."""
        return self._sink is not None and not self._paused and not self.done

    def ends_within(self, octets: int) -> bool:
        """Whether the rest will come, unasked, and is known to be so little."""
        if self.done:
            return True
        if self.trouble is not None or self.expected or isinstance(self._decoder, ChunkedDecoder):
            return False
        return self._decoder.left <= octets

    def feed(self, buffer: bytearray) -> None:
        """
        Take what belongs to the content off the front of what the client has sent.

        :raises BadMessage: when it is not framed as it should be.
        """
        if buffer:
            self.expected = False
        while piece := self._decoder.take(buffer):
            self._come += len(piece)
            if not self._closed:
                self._ready += piece
        self._weigh()
        self._hand_on()

    def limit(self, octets: int) -> None:
        """Let no more than so much come of it."""
        self._at_most = octets
        self._weigh()

    def _weigh(self) -> None:
        if self._at_most is not None and self._come > self._at_most:
            self._ready.clear()
            self.trouble = BadContent(f"More than {self._at_most} octets are not taken", 413)

    def fail(self, trouble: BodyBroken) -> None:
        """Let the rest not come, whoever takes it."""
        self.trouble = trouble
        self._hand_on()

    async def deliver(self, sink: Callable[[bytes], None]) -> None:
        """
        See `osproxy.model.PassingBody`; a client that waits to be asked for it is asked.

        What ``sink`` raises is raised here.
        """
        self.taken = True
        if self._closed:
            raise BodyBroken(_GIVEN_UP)
        if self.expected:
            self.expected = False
            self._invite()
        self._sink, self._over = sink, Deferred()
        over = self._over
        try:
            self._hand_on()
            self._flow()
            await over
        finally:
            self._sink = self._over = None

    def pause(self) -> None:
        """See `osproxy.model.PassingBody`."""
        self._paused = True

    def resume(self) -> None:
        """See `osproxy.model.PassingBody`."""
        self._paused = False
        self._hand_on()
        self._flow()

    def close(self) -> None:
        """Drop what is there and what comes; idempotent."""
        self._closed = True
        self._ready.clear()
        self._end(BodyBroken(_GIVEN_UP))

    def _hand_on(self) -> None:
        """Give what is there to whoever takes it, and say when that was all."""
        if self._sink is None or self._paused:
            return
        if self._ready:
            data = bytes(self._ready)
            self._ready.clear()
            try:
                self._sink(data)
            except Exception as error:
                self._end(error)
                return
        if self._ready:
            # The sink had us paused.
            return
        if self.done:
            self._end(None)
        elif self.trouble is not None:
            self._end(self.trouble)

    def _end(self, error: Exception | None) -> None:
        over, self._over = self._over, None
        if over is None:
            return
        if error is None:
            over.callback(None)
        else:
            over.errback(error)
