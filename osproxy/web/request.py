"""
A request as the listeners hand it on.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from twisted.web.server import Request

if TYPE_CHECKING:
    from osproxy.http.lines import BadMessage
    from osproxy.http.messages import RequestHead
    from osproxy.web.channel import Channel
    from osproxy.web.content import RequestContent


class ClientRequest(Request):
    """
    A request as `osproxy.web.channel` read it; Twisted's part is to write the response.

    A response has the Content-Type that it was given, or none.

    :ivar head: what counts: of method, target and fields Twisted has a copy.
    :ivar content: its content, which may be taken; None if it has none. It is closed when the
        request ends.
    :ivar refusal: what is wrong with it, for one that could not be read; its head is made up.
    """

    channel: Channel
    head: RequestHead
    content: RequestContent | None
    refusal: BadMessage | None
    defaultContentType = None

    def begin(
        self, head: RequestHead, content: RequestContent | None, refusal: BadMessage | None
    ) -> None:
        """Take what was read."""
        self.head, self.content, self.refusal = head, content, refusal

    @property
    def gone(self) -> bool:
        """Whether the connection was lost: from then on nothing can be said, or finished."""
        return self._disconnected

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:  # noqa: N802
        """Give a status its reason; Twisted knows none of those of RFC 6585 and RFC 7725."""
        try:
            reason = HTTPStatus(code).phrase.encode("ascii")
        except ValueError:
            reason = b""
        super().setResponseCode(code, reason if message is None else message)

    def gotLength(self, length: int | None) -> None:
        """Have no content of Twisted's."""

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Have it answered without looking for arguments, in the target or in a form."""
        self.method, self.uri, self.clientproto = command, path, version
        self.process()

    def process(self) -> None:
        """Give every request to the one resource, ``*`` too, which Twisted would answer itself."""
        self.render(self.channel.site.resource)
