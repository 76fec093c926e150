"""
Where one file comes from: the question that fills and passages ask, in part or in whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from osproxy.http.fields import Fields
    from osproxy.upstream.origin import Reply, Upstream


class Source(Protocol):
    """Where one file can be asked for again, in part or in whole."""

    async def __call__(self, *, head: bool = False, fields: Fields = ()) -> Reply:
        """Ask; raises `UpstreamError`."""


def source_of(upstream: Upstream, url: str, *, https_only: bool) -> Source:
    """Make the source that a fill and the passages beside it share."""

    async def ask(*, head: bool = False, fields: Fields = ()) -> Reply:
        return await upstream.ask(
            url, method="HEAD" if head else "GET", fields=fields, https_only=https_only
        )

    return ask
