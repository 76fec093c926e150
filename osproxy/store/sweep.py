"""
Putting the disk and the book in accord after a start, in bites, while the store already serves.

What a crash can leave is a draft, a file whose row was never written or is deleted already, and,
where the disk was touched by hand, a row without its file. Only numbers of earlier runs are looked
at: nothing of this run can be mistaken for a leftover.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field
from twisted.logger import Logger

from osproxy.store.blobs import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from osproxy.store.entries import Entry
    from osproxy.store.layout import Directory
    from osproxy.store.ledger import Ledger
    from osproxy.threads import InThread

_BITE = 256


@define(eq=False)
class Sweep:
    """
    One pass over the directory.

    :ivar stopped: set it to end the pass after the bite under way.
    """

    log = Logger()

    _directory: Directory
    _ledger: Ledger
    _in_thread: InThread
    _doom: Callable[[Entry], None]
    stopped: bool = field(init=False, default=False)

    async def run(self, entries: Sequence[Entry]) -> None:
        """Remove what no row names, and doom those of the entries whose file is not right."""
        left = await self._remove_drafts()
        left += await self._remove_orphans()
        lost = await self._doom_lost(entries)
        if left or lost:
            self.log.warn(
                "swept: {left} files left over, {lost} entries without their file",
                left=left,
                lost=lost,
            )

    async def _remove_drafts(self) -> int:
        found = await self._in_thread(self._directory.drafts)
        return await self._remove(found, self._directory.draft_path)

    async def _remove_orphans(self) -> int:
        folders = self._directory.entries()
        count = 0
        while not self.stopped:
            found = await self._in_thread(_next, folders)
            if found is None:
                break
            count += await self._remove(found, self._directory.entry_path)
        return count

    async def _remove(self, found: list[int], path_of: Callable[[int], Path]) -> int:
        # A number of an earlier run that the ledger does not know now, it will never know.
        orphans = [
            number
            for number in found
            if number < self._directory.first_id and number not in self._ledger
        ]
        if orphans and not self.stopped:
            await self._in_thread(_unlink_all, [path_of(number) for number in orphans])
        return len(orphans)

    async def _doom_lost(self, entries: Sequence[Entry]) -> int:
        count = 0
        for start in range(0, len(entries), _BITE):
            if self.stopped:
                break
            bite = [entry for entry in entries[start : start + _BITE] if entry.state is State.LIVE]
            sizes = await self._in_thread(_sizes_of, [entry.blob.path for entry in bite])
            for entry, size in zip(bite, sizes, strict=True):
                if size != entry.offset + entry.length and entry.state is State.LIVE:
                    self._doom(entry)
                    count += 1
        return count


def _next(folders: Iterator[list[int]]) -> list[int] | None:
    return next(folders, None)


def _unlink_all(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _sizes_of(paths: list[Path]) -> list[int | None]:
    return [_size_of(path) for path in paths]


def _size_of(path: Path) -> int | None:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return None
