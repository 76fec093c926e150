"""
Making the rows of the catalogue anew from the files, in bites, while the store already serves.

Each file begins with what its row said when it was written. What a later confirmation changed is
lost, which only makes an entry older than it could be. What is no entry is left to the sweep.

Names come back after all bodies, which they refer to; of a body that has lost its own name only the
second link is there.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.logger import Logger

from osproxy.store.accounts import BLOCK, Amount, blocks_of
from osproxy.store.records import read_entries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from pathlib import Path

    from osproxy.store.catalogue import Catalogue
    from osproxy.store.inventory import Inventory
    from osproxy.store.layout import Directory
    from osproxy.store.ledger import Ledger
    from osproxy.store.stock import Stock
    from osproxy.store.unsynced import Unsynced
    from osproxy.threads import InThread

_BITE = 64


@define(eq=False)
class Rebuild:
    """
    A pass over the files of which the catalogue may have no row.

    :ivar stopped: set it to end the pass after the bite under way.
    """

    log = Logger()

    _directory: Directory
    _ledger: Ledger
    _catalogue: Catalogue
    _in_thread: InThread
    _stock: Stock
    _inventory: Inventory
    _unsynced: Unsynced
    stopped: bool = field(init=False, default=False)

    async def weigh(self) -> Amount:
        """Say what the files take that are not known of."""
        taken = Amount()
        folders = self._directory.entries()
        while (found := await self._next(folders)) is not None:
            taken += await self._in_thread(_taken_by, self._paths_of(filter(self._lost, found)))
        async for bodies in self._bodies(self._lost):
            taken += await self._in_thread(_taken_by, bodies)
        return taken

    async def run(self) -> None:
        """Bring back what can be, and write down in the end that nothing is missing."""
        count = 0
        names: list[int] = []
        folders = self._directory.entries()
        while (found := await self._next(folders)) is not None:
            count += await self._bring_back(self._paths_of(filter(self._wanted, found)), names)
        async for bodies in self._bodies(self._wanted):
            count += await self._bring_back(bodies, names)
        count += await self._bring_back(self._paths_of(names), None)
        if not self.stopped:
            await self._catalogue.completed()
        if count:
            self.log.info("{count} entries were found by their files", count=count)

    async def _bodies(self, wanted: Callable[[int], bool]) -> AsyncIterator[list[Path]]:
        """Give those that only others can name: the link is there, and no entry."""
        folders = self._directory.bodies()
        while (found := await self._next(folders)) is not None:
            yield await self._in_thread(self._without_entry, list(filter(wanted, found)))

    def _without_entry(self, numbers: list[int]) -> list[Path]:
        return [
            self._directory.body_path(number)
            for number in numbers
            if not self._directory.entry_path(number).exists()
        ]

    async def _next(self, folders: Iterator[list[int]]) -> list[int] | None:
        return None if self.stopped else await self._in_thread(next, folders, None)

    def _lost(self, number: int) -> bool:
        # What was begun in this run, and is no entry yet, is somebody's business.
        return number < self._directory.first_id and number not in self._ledger

    def _wanted(self, number: int) -> bool:
        # What is known may have lost its row all the same.
        return self._stock.has(number) or self._lost(number)

    def _paths_of(self, found: Iterable[int]) -> list[Path]:
        return [self._directory.entry_path(number) for number in sorted(found)]

    async def _bring_back(self, paths: list[Path], names: list[int] | None) -> int:
        """List what the files are; names, if they are to wait, are only noted."""
        count = 0
        for start in range(0, len(paths), _BITE):
            if self.stopped:
                break
            records = await self._in_thread(read_entries, paths[start : start + _BITE])
            if names is not None:
                names += [it.id for it in records if it.is_name]
                records = [it for it in records if not it.is_name]
            # First the row, then the entry: if it is evicted, its row goes after that.
            await self._catalogue.recover(records)
            # A power loss may have taken some of it, and left what it begins with.
            self._unsynced.doubt(it.id for it in records if it.id not in self._stock)
            refused = [it.id for it in records if not await self._inventory.recover(it)]
            if refused:
                for number in refused:
                    self._unsynced.forget(number)
                await self._catalogue.drop(refused)
            count += len(records) - len(refused)
        return count


def _taken_by(paths: list[Path]) -> Amount:
    taken = Amount()
    for path in paths:
        with suppress(OSError):
            taken += Amount(octets=blocks_of(path.lstat().st_size) * BLOCK, files=1)
    return taken
