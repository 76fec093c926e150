"""
What a client has sent: one request at a time, and behind it whatever else has come.

Nothing here touches a socket. A request is looked at only when the connection asks for the next
one, which it does when the one before is answered; so what waits is nothing but octets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, evolve, field

from osproxy.http.fields import without
from osproxy.http.lines import EMPTY_LINES_AT_MOST, BadMessage, HeadReader
from osproxy.http.messages import End, parse_request_head
from osproxy.web.content import BadContent, RequestContent

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.http.messages import RequestHead


def _reader() -> HeadReader:
    return HeadReader(EMPTY_LINES_AT_MOST)


@define(eq=False)
class Incoming:
    """
    The requests of one connection.

    :ivar content: of the request that was taken last, None if it has none.
    """

    _invite: Callable[[], None]
    _flow: Callable[[], None]
    content: RequestContent | None = field(default=None, init=False)
    _buffer: bytearray = field(factory=bytearray, init=False)
    _reader: HeadReader = field(factory=_reader, init=False)

    @property
    def begun(self) -> bool:
        """Whether something of a further request has come."""
        return bool(self._buffer) or self._reader.begun

    @property
    def unfinished(self) -> bool:
        """Whether content of the request that was taken last is still to come."""
        return self.content is not None and not self.content.done

    @property
    def broken(self) -> bool:
        """Whether it will not come."""
        return self.content is not None and self.content.trouble is not None

    @property
    def held(self) -> int:
        """Octets that have come and nobody has taken."""
        return len(self._buffer) + (0 if self.content is None else self.content.held)

    def receive(self, data: bytes) -> None:
        """Keep what has come, or hand it on to whoever takes the content."""
        self._buffer += data
        if self.content is None or self.broken:
            return
        try:
            self.content.feed(self._buffer)
        except BadMessage as error:
            self.content.fail(BadContent(f"the content of the request has {error}"))

    def end(self) -> None:
        """Let nothing come any more."""
        if self.content is not None and not self.content.done:
            self.content.fail(BadContent("the client ended its side within its request"))

    def next(self) -> RequestHead | None:
        """
        Take the next request, None if its head is not whole; the content of the last is done.

        :raises BadMessage: for one that is not as HTTP/1 has it, as far as that can be told yet.
        """
        self.content = None
        octets = self._reader.take(self._buffer)
        if octets is None:
            return None
        self._reader = _reader()
        head = parse_request_head(octets)
        # A GET that says that it brings nothing is one like any other (RFC 9110 section 9.3.1).
        if head.framing not in (End.NO_BODY, 0):
            content = RequestContent(
                head.framing,
                expected="100-continue" in head.expectations,
                invite=self._invite,
                flow=self._flow,
            )
            content.feed(self._buffer)
            self.content = content
        return head


def unframed(head: RequestHead) -> RequestHead:
    """
    Leave out of a head what says that a body follows, for a reader that is not to look for one.

    What is later than HTTP/1.1 is read as that (RFC 9110 section 2.5).
    """
    fields = without(head.fields, "content-length", "transfer-encoding", "expect")
    return evolve(head, version=min(head.version, (1, 1)), fields=fields)
