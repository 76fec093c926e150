"""
Taking files away: first the row, then the file, then its space in the ledger.

Where others share the body, what names the file is taken away: first in the row, then the link.

In this order a crash leaves at worst a file without a row, which the sweep of the next start takes
away. What is to go is taken in bites, so that a thousand victims cost a few transactions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.store.blobs import State
from osproxy.store.files import remove
from osproxy.store.trouble import DISK_ERRORS, Work
from osproxy.waiting import Waiters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from osproxy.store.blobs import Blob
    from osproxy.store.catalogue import Catalogue
    from osproxy.store.ledger import Ledger
    from osproxy.store.trouble import Trouble
    from osproxy.threads import InThread
    from osproxy.waiting import Tasks

_BITE = 128


@define(eq=False)
class Removal:
    """
    What is on its way out.

    :ivar busy: whether rows or files are being removed.
    """

    _ledger: Ledger
    _catalogue: Catalogue
    _in_thread: InThread
    _tasks: Tasks
    _trouble: Trouble
    busy: bool = field(init=False, default=False)
    _rows: list[int] = field(init=False, factory=list)
    _blobs: list[Blob] = field(init=False, factory=list)
    _unnamed: list[Blob] = field(init=False, factory=list)
    _stuck: list[Blob] = field(init=False, factory=list)
    _undeleted: list[int] = field(init=False, factory=list)
    _still_named: list[Blob] = field(init=False, factory=list)
    _progress: Waiters = field(init=False, factory=Waiters)
    _closed: bool = field(init=False, default=False)

    def rows(self, ids: Iterable[int]) -> None:
        """Delete rows, soon, and before any file that is handed over later is unlinked."""
        self._rows.extend(ids)
        self._begin()

    def unlink(self, blob: Blob) -> None:
        """Remove a file that has no reader, soon."""
        if self._closed:
            # The next start sweeps the file away.
            blob.let_go()
        elif blob.opening:
            # It may be read as a whole for minutes, for which the others are not to wait.
            self._tasks.unattended(self._unlink_when_settled(blob))
        else:
            self._blobs.append(blob)
            self._begin()

    def unname(self, blob: Blob) -> None:
        """Remove an entry, soon, and leave its file to those who share the body."""
        self._unnamed.append(blob)
        self._begin()

    def retry(self) -> None:
        """Try once more to remove what could not be removed."""
        self._blobs += self._stuck
        self._unnamed += self._still_named
        self._rows += self._undeleted
        self._stuck, self._still_named, self._undeleted = [], [], []
        self._begin()

    async def progress(self) -> None:
        """Return once space may have become free, or nothing is left to do."""
        await self._progress.wait()

    def close(self) -> None:
        """Take nothing more; files handed over from now on are only closed."""
        self._closed = True

    def _begin(self) -> None:
        if not self.busy and not self._closed and self._pending:
            self.busy = True
            self._tasks.unattended(self._clear_out())

    @property
    def _pending(self) -> bool:
        return bool(self._rows or self._unnamed or self._blobs)

    async def _clear_out(self) -> None:
        try:
            while self._pending:
                rows, self._rows = self._rows, []
                unnamed, self._unnamed = self._unnamed, []
                blobs, self._blobs = self._blobs[:_BITE], self._blobs[_BITE:]
                if rows or unnamed:
                    await self._delete(rows, unnamed)
                if blobs:
                    await self._unlink(blobs)
                self._progress.wake()
        finally:
            self.busy = False
            self._progress.wake()

    async def _delete(self, rows: list[int], unnamed: list[Blob]) -> None:
        try:
            await self._catalogue.drop(rows, [blob.id for blob in unnamed])
        except DISK_ERRORS as error:
            # Files go all the same: a row without a file is dropped when it is met. But that of a
            # body would take along all who share it.
            self._undeleted += rows
            self._still_named += unnamed
            self._trouble.met(Work.CATALOGUE, error, f"{len(rows) + len(unnamed)} files that go")
        else:
            await self._unlink_names(unnamed)

    async def _unlink_when_settled(self, blob: Blob) -> None:
        await blob.settled()
        self.unlink(blob)

    async def _unlink_names_when_settled(self, blob: Blob) -> None:
        await blob.settled()
        await self._unlink_names([blob])

    async def _unlink_names(self, blobs: list[Blob]) -> None:
        # Who opens it by this name must have opened it.
        for blob in blobs:
            if blob.opening:
                self._tasks.unattended(self._unlink_names_when_settled(blob))
        blobs = [blob for blob in blobs if not blob.opening]
        if not blobs:
            return
        work = [(None, blob.links[:1]) for blob in blobs]
        for blob, trouble in zip(blobs, await self._in_thread(_remove_all, work), strict=True):
            if trouble is not None:
                # It takes no space, and the next start tries again.
                self._trouble.met(Work.REMOVE, trouble, blob.links[0])

    async def _unlink(self, blobs: list[Blob]) -> None:
        work = [(blob.take_descriptor(), blob.links) for blob in blobs]
        troubles = await self._in_thread(_remove_all, work)
        for blob, trouble in zip(blobs, troubles, strict=True):
            if trouble is None:
                blob.become(State.GONE)
                self._ledger.removed(blob.id)
            else:
                self._trouble.met(Work.REMOVE, trouble, blob.path)
                self._stuck.append(blob)


def _remove_all(work: Sequence[tuple[int | None, tuple[Path, ...]]]) -> list[OSError | None]:
    return [_removed(descriptor, links) for descriptor, links in work]


def _removed(descriptor: int | None, links: tuple[Path, ...]) -> OSError | None:
    try:
        remove(descriptor, *links)
    except OSError as error:
        return error
    return None
