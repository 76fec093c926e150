"""
Following a fill: the body of a file that is still growing, as one of its readers sees it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from osproxy.cache.fill import Fill
    from osproxy.store.drafts import DraftLease


class FillReader:
    """One who follows a fill; a `osproxy.model.FileBody` once the fill is `Fill.headed`."""

    def __init__(self, fill: Fill) -> None:
        self.fill = fill
        fill.readers += 1
        self._lease: DraftLease | None = None
        self._closed = False

    def hold(self) -> None:
        """Take hold of the draft, so that it can be read after the fill has ended."""
        assert self.fill.draft is not None
        self._lease = self.fill.draft.lease()

    @property
    def offset(self) -> int:
        """See `osproxy.model.FileBody`."""
        assert self.fill.draft is not None
        return self.fill.draft.offset

    @property
    def length(self) -> int | None:
        """See `osproxy.model.FileBody`."""
        return self.fill.growth.length

    @property
    def available(self) -> int:
        """See `osproxy.model.FileBody`."""
        return self.fill.growth.available

    def fileno(self) -> int:
        """See `osproxy.model.FileBody`."""
        assert self._lease is not None
        return self._lease.fileno()

    async def wait(self, position: int) -> bool:
        """See `osproxy.model.FileBody`."""
        return await self.fill.growth.wait(position)

    def unreadable(self, error: OSError) -> None:
        """See `osproxy.model.FileBody`; an entry made of it finds out for itself."""

    def close(self) -> None:
        """See `osproxy.model.FileBody`."""
        if self._closed:
            return
        self._closed = True
        if self._lease is not None:
            self._lease.close()
        self.fill.left()
