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

from osproxy.store.files import link_body
from osproxy.store.records import BadHeader, read_draft

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from osproxy.store.catalogue import Catalogue
    from osproxy.store.layout import Directory
    from osproxy.store.ledger import Ledger
    from osproxy.store.records import FoundDraft
    from osproxy.store.stock import Stock
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
    _stock: Stock
    _adopt: Callable[[FoundDraft], bool]
    stopped: bool = field(init=False, default=False)

    async def run(self) -> None:
        """Remove what nobody can use, and doom the entries whose file is not right."""
        left = await self._sort_drafts()
        left += await self._remove_orphans(self._directory.entries(), self._directory.entry_path)
        left += await self._remove_orphans(self._directory.bodies(), self._directory.body_path)
        lost = await self._doom_lost()
        await self._link_bodies()
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
            kept = {draft.record.id for draft in found if self._is_wanted(draft)}
            count += await self._remove(
                [number for number in bite if number not in kept], self._directory.draft_path
            )
        return count

    def _is_wanted(self, draft: FoundDraft) -> bool:
        # One that was equal to what was stored was to go when it had become an entry.
        record = draft.record
        return not self._stock.has_newer(record.target, record.id) and self._adopt(draft)

    async def _remove_orphans(
        self, folders: Iterator[list[int]], path_of: Callable[[int], Path]
    ) -> int:
        count = 0
        while not self.stopped:
            found = await self._in_thread(_next, folders)
            if found is None:
                break
            count += await self._remove(self._orphans(found), path_of)
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
            found = [(number, size) for number, size in bite if self._stock.has(number)]
            paths = [self._stock.blob(number).path for number, _ in found]
            sizes = await self._in_thread(_sizes_of, paths)
            for (number, expected), path, size in zip(found, paths, sizes, strict=True):
                if size == expected or not self._stock.has(number):
                    continue
                # Meanwhile it may have lost its entry, and with that its first name.
                if self._stock.blob(number).path == path:
                    self._stock.lose(number, found=size is not None)
                    count += 1
        return count

    async def _link_bodies(self) -> None:
        """See that each shared body has its second link, and one without a name no other."""
        await self._link(self._stock.shared())
        folders = self._directory.bodies()
        while not self.stopped and (found := await self._in_thread(_next, folders)) is not None:
            await self._link(found)

    async def _link(self, bodies: list[int]) -> None:
        for start in range(0, len(bodies), _BITE):
            if self.stopped:
                break
            bite = [
                (
                    self._directory.entry_path(body),
                    self._directory.body_path(body),
                    self._stock.blob(body).nameless,
                )
                for body in bodies[start : start + _BITE]
                if self._stock.has(body)
            ]
            await self._in_thread(_link_all, bite)


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


def _link_all(bodies: list[tuple[Path, Path, bool]]) -> None:
    for entry, body, nameless in bodies:
        if nameless:
            # A crash has come before its removal.
            entry.unlink(missing_ok=True)
            continue
        # A directory that was copied can have two files in place of one. Others may be at it, too:
        # what is missing in the end is fetched again.
        with suppress(FileNotFoundError, FileExistsError):
            if not (body.exists() and body.samefile(entry)):
                body.unlink(missing_ok=True)
                link_body(entry, body, None)


def _sizes_of(paths: list[Path]) -> list[int | None]:
    return [_size_of(path) for path in paths]


def _size_of(path: Path) -> int | None:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return None
