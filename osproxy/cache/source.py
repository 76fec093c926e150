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

    async def __call__(self, *, method: str = "GET", fields: Fields = ()) -> Reply:
        """Ask; raises `UpstreamError`."""


def source_of(upstream: Upstream, url: str, *, https_only: bool, via: str = "") -> Source:
    """
    Make the source that a fill and the passages beside it share.

    :param via: the way that the first request for it has come, so that a loop is seen.
    """
    way = (("Via", via),) if via else ()

    async def ask(*, method: str = "GET", fields: Fields = ()) -> Reply:
        return await upstream.ask(url, method=method, fields=(*fields, *way), https_only=https_only)

    return ask
