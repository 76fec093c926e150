"""
Putting the disk and the book in accord after a start, in bites, while the store already serves.

What a crash can leave is a draft, a file whose row was never written or is deleted already, and,
where the disk was touched by hand, a row without its file. Drafts that can be completed stay, as do
those that the last run put aside. Only numbers of earlier runs are looked at: nothing of this run
can be mistaken for a leftover.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.logger import Logger

from osproxy.store.records import BadHeader, read_draft

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from osproxy.store.catalogue import Catalogue
    from osproxy.store.inventory import Inventory
    from osproxy.store.layout import Directory
    from osproxy.store.ledger import Ledger
    from osproxy.store.records import FoundDraft
    from osproxy.threads import InThread

_BITE = 256


@define(eq=False)
class Sweep:
    """
    One pass over the directory.

    :param adopt: told of each draft that was found; says whether it stays.
    :ivar stopped: set it to end the pass after the bite under way.
    """

    log = Logger()

    _directory: Directory
    _ledger: Ledger
    _in_thread: InThread
    _catalogue: Catalogue
    _inventory: Inventory
    _adopt: Callable[[FoundDraft], bool]
    stopped: bool = field(init=False, default=False)

    async def run(self) -> None:
        """Remove what nobody can use, and doom the entries whose file is not right."""
        left = await self._sort_drafts()
        left += await self._remove_orphans()
        lost = await self._doom_lost()
        if left or lost:
            self.log.warn(
                "swept: {left} files left over, {lost} entries without their file",
                left=left,
                lost=lost,
            )

    async def _sort_drafts(self) -> int:
        # In the order in which they were begun: of two for one target the later one stays.
        numbers = sorted(self._orphans(await self._in_thread(self._directory.drafts)))
        count = 0
        for start in range(0, len(numbers), _BITE):
            if self.stopped:
                break
            bite = numbers[start : start + _BITE]
            found = await self._in_thread(
                _read_all, [self._directory.draft_path(number) for number in bite]
            )
            if self.stopped:
                break
            kept = {draft.record.id for draft in found if self._adopt(draft)}
            count += await self._remove(
                [number for number in bite if number not in kept], self._directory.draft_path
            )
        return count

    async def _remove_orphans(self) -> int:
        folders = self._directory.entries()
        count = 0
        while not self.stopped:
            found = await self._in_thread(_next, folders)
            if found is None:
                break
            count += await self._remove(self._orphans(found), self._directory.entry_path)
        return count

    def _orphans(self, found: list[int]) -> list[int]:
        # A number of an earlier run that the ledger does not know now, it will never know, but for
        # a draft that is adopted here.
        return [
            number
            for number in found
            if number < self._directory.first_id and number not in self._ledger
        ]

    async def _remove(self, orphans: list[int], path_of: Callable[[int], Path]) -> int:
        if orphans and not self.stopped:
            await self._in_thread(_unlink_all, [path_of(number) for number in orphans])
        return len(orphans)

    async def _doom_lost(self) -> int:
        count, last = 0, -1
        while not self.stopped and (bite := await self._catalogue.sizes(last, _BITE)):
            last = bite[-1][0]
            found = [(number, size) for number, size in bite if number in self._inventory]
            paths = [self._directory.entry_path(number) for number, _ in found]
            sizes = await self._in_thread(_sizes_of, paths)
            for (number, expected), size in zip(found, sizes, strict=True):
                if size != expected and number in self._inventory:
                    self._inventory.retire(number)
                    count += 1
        return count


def _next(folders: Iterator[list[int]]) -> list[int] | None:
    return next(folders, None)


def _read_all(paths: list[Path]) -> list[FoundDraft]:
    found = []
    for path in paths:
        # What cannot be read cannot be completed.
        with suppress(BadHeader, OSError):
            found.append(read_draft(path))
    return found


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
