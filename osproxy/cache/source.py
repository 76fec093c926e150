"""
Where one file comes from: the question that fills and passages ask, in part or in whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import evolve, frozen

from osproxy.upstream.turns import OURS

if TYPE_CHECKING:
    from osproxy.http.fields import Fields
    from osproxy.upstream.origin import Reply, Upstream
    from osproxy.upstream.turns import Asker


class Source(Protocol):
    """Where one file can be asked for again, in part or in whole."""

    async def __call__(self, *, method: str = "GET", fields: Fields = ()) -> Reply:
        """Ask; raises `UpstreamError`."""

    def on_behalf_of(self, asker: Asker) -> Source:
        """Give the same source as another asks it."""


@frozen
class FileSource:
    """
    The source that a fill and the passages beside it share.

    :ivar via: the way that the first request for it has come, so that a loop is seen.
    :ivar asker: whose questions these are.
    """

    upstream: Upstream
    url: str
    https_only: bool
    via: str = ""
    asker: Asker = OURS

    async def __call__(self, *, method: str = "GET", fields: Fields = ()) -> Reply:
        """See `Source`."""
        way = (("Via", self.via),) if self.via else ()
        return await self.upstream.ask(
            self.url,
            method=method,
            fields=(*fields, *way),
            https_only=self.https_only,
            asker=self.asker,
        )

    def on_behalf_of(self, asker: Asker) -> Source:
        """See `Source`."""
        return evolve(self, asker=asker)
