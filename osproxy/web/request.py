"""
A request as the listeners hand it on.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from twisted.web.server import Request

if TYPE_CHECKING:
    from osproxy.web.channel import Channel


class ClientRequest(Request):
    """
    A request whose body, if it has one, is read and forgotten: no method of ours takes one.

    A response has the Content-Type that it was given, or none.
    """

    channel: Channel
    defaultContentType = None

    @property
    def gone(self) -> bool:
        """Whether the connection was lost: from then on nothing can be said, or finished."""
        return self._disconnected

    def process(self) -> None:
        """Give every request to the one resource, ``*`` too, which Twisted would answer itself."""
        self.site = self.channel.site
        self.render(self.site.resource)

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """Keep no place for the body: Twisted would make a file of a large one."""
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Forget a piece of the body."""
