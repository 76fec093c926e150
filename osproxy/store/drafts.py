"""
An entry being written: octets go in at the end, readers follow.

A draft is made by `osproxy.store.store.Store.begin`; it ends in `Store.commit`, or in
`Draft.discard`. One that was interrupted may be put aside meanwhile (`Draft.put_aside`) and taken
up again (`Store.resume`), by this run or the next.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.store.blobs import State
from osproxy.store.ledger import CacheFull

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.model import Head, Target
    from osproxy.store.blobs import Blob
    from osproxy.store.ledger import Ledger
    from osproxy.store.records import DraftRecord, Provenance

#: Of a body with fewer octets than this the draft is not put aside: to fetch them once more takes
#: hardly longer than to ask, and hundreds of small files would be opened at each start.
WORTH_COMPLETING = 1 << 20


@define(eq=False)
class Draft:
    """
    A file that grows.

    :ivar written: octets of the body that are in the file.
    :ivar reserved: octets of the file that the ledger has set aside.
    :ivar step: octets that are reserved at once while the length is unknown.
    """

    record: DraftRecord
    reserved: int
    blob: Blob
    _ledger: Ledger
    step: int
    _running_short: Callable[[Draft], None]
    _discarded: Callable[[Draft], None]
    _put_aside: Callable[[Draft], None]
    written: int = 0
    _warned: bool = field(init=False, default=False)

    @property
    def target(self) -> Target:
        """What it will be stored as."""
        return self.record.target

    @property
    def head(self) -> Head:
        """What was said of it when it was begun."""
        return self.record.head

    @property
    def provenance(self) -> Provenance | None:
        """What its rest must belong to."""
        return self.record.provenance

    @property
    def offset(self) -> int:
        """Where in the file the body begins."""
        return self.record.offset

    @property
    def length(self) -> int | None:
        """Octets that the body will have, None while that is unknown."""
        return self.record.length

    @property
    def size(self) -> int:
        """Octets of the whole file, header included."""
        return self.offset + self.written

    def fileno(self) -> int:
        """The descriptor, for reading."""
        return self.blob.fileno()

    def write(self, data: bytes | memoryview) -> None:
        """
        Append to the body.

        It goes into the page cache, here and now. What could be written counts even when this
        raises.

        :raises CacheFull: when the file outgrows what can be reserved.
        :raises OSError: as the disk has it.
        """
        if self.blob.state is not State.DRAFT:
            raise ValueError(f"{self.target} is {self.blob.state.value}")
        self._make_certain(self.size + len(data))
        view = memoryview(data)
        while view:
            count = os.pwrite(self.fileno(), view, self.size)
            self.written += count
            view = view[count:]
        if self.length is None and not self._warned and self.reserved - self.size < self.step // 2:
            self._warned = True
            self._running_short(self)

    def rewind(self) -> None:
        """
        Take back all that was written; nobody may have read it.

        :raises OSError: as the disk has it.
        """
        os.ftruncate(self.fileno(), self.offset)
        self.written = 0

    def holds(self, octets: int) -> bool:
        """Whether so much more fits into what is reserved."""
        return self.size + octets <= self.reserved

    def lease(self) -> DraftLease:
        """Take a hold on the growing file; it holds after the commit, too."""
        self.blob.lease()
        return DraftLease(self.blob)

    def put_aside(self) -> None:
        """
        Leave it to whoever asks for the target next; what cannot be completed is discarded.

        Nothing happens if it was committed or given up before.
        """
        provenance = self.provenance
        if provenance is None or not provenance.certain or self.written < WORTH_COMPLETING:
            self.discard()
        elif self.blob.state is State.DRAFT:
            self._ledger.shrink(self.blob.id, self.size)
            self.reserved = self.size
            self.blob.become(State.KEPT)
            self.blob.close_if_idle()
            self._put_aside(self)

    def discard(self) -> None:
        """Give the draft up, unless it was committed, put aside or given up before."""
        if self.blob.state is State.DRAFT:
            self.give_up()
            self._discarded(self)

    def seal(self) -> None:
        """Take no more octets: from now on the draft is the commit's."""
        self.blob.become(State.SEALED)

    def give_up(self) -> None:
        """Free what was reserved and not written, at once, and the rest after the last reader."""
        self._ledger.shrink(self.blob.id, self.size)
        self.blob.doom()

    def extend(self, size: int) -> None:
        """
        Reserve so much for the whole file.

        :raises CacheFull: when it does not fit.
        """
        self._ledger.grow(self.blob.id, size)
        self.reserved = max(size, self.reserved)
        self._warned = False

    def _make_certain(self, size: int) -> None:
        if size <= self.reserved:
            return
        try:
            self.extend(size if self.length is not None else size + self.step)
        except CacheFull:
            self.extend(size)


@define(eq=False)
class DraftLease:
    """A reader's hold on a growing file."""

    _blob: Blob
    _closed: bool = field(init=False, default=False)

    def fileno(self) -> int:
        """The descriptor to read from."""
        return self._blob.fileno()

    def close(self) -> None:
        """Give the file up; once is enough, twice does no harm."""
        if not self._closed:
            self._closed = True
            self._blob.release()
