"""
Making the rows of the catalogue anew from the files, in bites, while the store already serves.

Each file begins with what its row said when it was written. What a later confirmation changed is
lost, which only makes an entry older than it could be. What is no entry is left to the sweep.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.logger import Logger

from osproxy.store.ledger import BLOCK, blocks_of
from osproxy.store.records import BadHeader, read_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from osproxy.store.catalogue import Catalogue
    from osproxy.store.layout import Directory
    from osproxy.store.ledger import Ledger
    from osproxy.store.records import Record
    from osproxy.threads import InThread

_BITE = 64


@define(eq=False)
class Rebuild:
    """
    One pass over the files of earlier runs.

    :param restore: shows an entry whose row there is now, unless there is a later one.
    :ivar stopped: set it to end the pass after the bite under way.
    """

    log = Logger()

    _directory: Directory
    _ledger: Ledger
    _catalogue: Catalogue
    _in_thread: InThread
    _restore: Callable[[Record], bool]
    stopped: bool = field(init=False, default=False)

    async def prepare(self) -> int:
        """Say how many octets the files take that no row is known of; without any, all is done."""
        octets = 0
        folders = self._directory.entries()
        while (found := await self._next(folders)) is not None:
            octets += await self._in_thread(_octets_of, self._paths_of(found))
        if not octets and not self.stopped:
            await self._catalogue.completed()
        return octets

    async def run(self) -> None:
        """Bring back what can be, and write down in the end that nothing is missing."""
        count = 0
        folders = self._directory.entries()
        while (found := await self._next(folders)) is not None:
            count += await self._bring_back(self._paths_of(found))
        if not self.stopped:
            await self._catalogue.completed()
        if count:
            self.log.info("{count} entries were found by their files", count=count)

    async def _next(self, folders: Iterator[list[int]]) -> list[int] | None:
        return None if self.stopped else await self._in_thread(next, folders, None)

    def _paths_of(self, found: list[int]) -> list[Path]:
        return [
            self._directory.entry_path(number)
            for number in sorted(found)
            if number < self._directory.first_id and number not in self._ledger
        ]

    async def _bring_back(self, paths: list[Path]) -> int:
        count = 0
        for start in range(0, len(paths), _BITE):
            if self.stopped:
                break
            records = await self._in_thread(_read_all, paths[start : start + _BITE])
            # First the row, then the entry: if it is evicted, its row goes after that.
            await self._catalogue.swap(records, ())
            refused = [record.id for record in records if not self._restore(record)]
            if refused:
                await self._catalogue.drop(refused)
            count += len(records) - len(refused)
        return count


def _octets_of(paths: list[Path]) -> int:
    octets = 0
    for path in paths:
        with suppress(OSError):
            octets += blocks_of(path.lstat().st_size) * BLOCK
    return octets


def _read_all(paths: list[Path]) -> list[Record]:
    records = []
    for path in paths:
        with suppress(BadHeader, OSError):
            record = read_header(path)
            if path.lstat().st_size == record.size:
                records.append(record)
    return records
