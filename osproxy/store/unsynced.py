"""
What a power loss may take: files that the kernel has, and the disk not yet.

With durability ``full`` a file and the folders that lead to it are synced before the catalogue
names it, and the catalogue syncs each transaction. With ``fast`` that is made up for within a
minute; until then the catalogue says which boot of the machine the file is from. After another boot
it may have lost any part of itself, and is not served before its digest was found to be right.
"""

from __future__ import annotations

import errno
import os
from itertools import chain
from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.store.alteration import digest_of
from osproxy.store.syncing import sync_names
from osproxy.store.trouble import Work
from osproxy.waiting import Waiters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from osproxy.store.catalogue import Catalogue
    from osproxy.store.entries import Entry
    from osproxy.store.layout import Directory
    from osproxy.store.syncing import Syncing
    from osproxy.store.trouble import Trouble
    from osproxy.threads import InThread
    from osproxy.waiting import Tasks

_BITE = 64


@define(eq=False)
class Unsynced:
    """
    The entries of which the disk may not have the files.

    :param boot: names this boot of the machine, empty where that is not known.
    :param durable: whether files are synced before they are entries.
    :param syncing: how.
    """

    _directory: Directory
    _catalogue: Catalogue
    _in_thread: InThread
    _tasks: Tasks
    _trouble: Trouble
    _boot: str
    _durable: bool
    _syncing: Syncing
    _pending: set[int] = field(init=False, factory=set)
    _doubtful: set[int] = field(init=False, factory=set)
    _verifying: dict[int, Waiters] = field(init=False, factory=dict)

    @property
    def at_once(self) -> Syncing | None:
        """How to sync a file before it is an entry; None where that is done later."""
        return self._syncing if self._durable else None

    @property
    def mark(self) -> str | None:
        """What the catalogue is to say of new entries until they are synced; None for nothing."""
        return None if self._durable else self._boot

    def load(self, found: Mapping[int, str]) -> None:
        """Note what the last run has not synced, and the boots that it is from."""
        for number, boot in found.items():
            same = boot == self._boot and boot != ""
            (self._pending if same else self._doubtful).add(number)

    def in_doubt(self, number: int) -> bool:
        """Whether a power loss may have taken some of a file."""
        return number in self._doubtful

    def committed(self, numbers: Iterable[int]) -> None:
        """Note that there are new entries, or new links to old ones."""
        if not self._durable:
            self._pending.update(numbers)

    def doubt(self, numbers: Iterable[int]) -> None:
        """Note that there are entries of which it is not known whether they were synced."""
        self._doubtful.update(numbers)

    def forget(self, number: int) -> None:
        """Note nothing of an entry that is going."""
        self._pending.discard(number)
        self._doubtful.discard(number)

    async def write_out(self) -> None:
        """
        Sync what is not, in bites.

        :raises OSError: when the disk refuses; it is tried again the next time.
        """
        waiting = sorted(self._pending)
        for start in range(0, len(waiting), _BITE):
            bite = [number for number in waiting[start : start + _BITE] if number in self._pending]
            links = [
                (self._directory.entry_path(number), self._directory.body_path(number))
                for number in bite
            ]
            # Before that: what has a further link meanwhile is to be synced once more.
            self._pending.difference_update(bite)
            try:
                await self._in_thread(_sync_all, self._syncing, links)
                await self._catalogue.synced(bite)
            except BaseException:
                self._pending.update(bite)
                raise

    def is_settled(self, entry: Entry) -> bool:
        """Whether nothing is to be made sure of, see `settle`."""
        return self._doubtful.isdisjoint((entry.body.id, entry.id))

    async def settle(self, entry: Entry) -> None:
        """
        Make sure of an entry that somebody has opened: a power loss may have taken some of it.

        All who open it meanwhile wait for the same reading.

        :raises OSError: when it is not what it was, or cannot be read.
        """
        body = entry.body.id
        if body in self._doubtful:
            if body not in self._verifying:
                self._verifying[body] = Waiters()
                self._tasks.unattended(self._verify(entry))
            while body in self._verifying:
                await self._verifying[body].wait()
            if body in self._doubtful:
                raise OSError(errno.EIO, "not all of it has outlived the last power loss")
        if entry.id in self._doubtful:
            # Of a name nothing is served but what its row says.
            self._doubtful.discard(entry.id)
            self._pending.add(entry.id)

    async def _verify(self, entry: Entry) -> None:
        blob = entry.body
        # A reader that leaves meanwhile must not close the file.
        blob.lease()
        try:
            found = await blob.read_whole(
                digest_of, blob.fileno(), entry.offset, entry.offset + entry.length
            )
            if found == entry.digest and blob.id in self._doubtful:
                self._doubtful.discard(blob.id)
                self._pending.add(blob.id)
        except OSError as error:
            self._trouble.met(Work.READ, error, entry.target)
        finally:
            self._verifying.pop(blob.id).wake()
            blob.release()


def _sync_all(syncing: Syncing, links: list[tuple[Path, Path]]) -> None:
    there = []
    for path in chain.from_iterable(links):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            continue
        try:
            syncing.file(descriptor)
        finally:
            os.close(descriptor)
        there.append(path)
    sync_names(syncing, there)
