"""
A stored body with its response metadata, and a reader's hold on it.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Protocol

from attrs import Factory, define, field

from osproxy.store.blobs import State
from osproxy.store.files import check_of, opener_of
from osproxy.store.pagecache import read_cached

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.model import Head, Target
    from osproxy.repo.kinds import Kind
    from osproxy.store.blobs import Blob

#: Too many open files, or too little memory, say nothing about the file.
NOT_ITS_FAULT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})


class Settles(Protocol):
    """Whoever knows what a power loss may have taken."""

    def is_settled(self, entry: Entry) -> bool:
        """Whether nothing is to be made sure of."""

    async def settle(self, entry: Entry) -> None:
        """
        Make sure of an entry that is open.

        :raises OSError: when it is not what it was.
        """


@define(eq=False)
class Entry:
    """
    A body that can be served.

    :ivar offset: where in the file the body begins.
    :ivar digest: SHA-256 of the body, in hex.
    :ivar checked_at: when the source last confirmed it.
    :ivar blob: its file.
    :ivar body: the file that its body lies in, as a rule the same.
    """

    target: Target
    kind: Kind
    head: Head
    offset: int
    length: int
    digest: str
    stored_at: float
    checked_at: float
    generation: str
    blob: Blob
    _unreadable: Callable[[Entry, OSError], None]
    _unsynced: Settles
    body: Blob = field(default=Factory(lambda self: self.blob, takes_self=True))
    _retired: bool = field(init=False, default=False)

    @property
    def id(self) -> int:
        """The number of the file."""
        return self.blob.id

    @property
    def state(self) -> State:
        """LIVE, DOOMED or GONE."""
        if self._retired and self.blob.state is State.LIVE:
            return State.DOOMED
        return self.blob.state

    def retire(self) -> None:
        """Be told that it is gone, though its file stays for those who share its body."""
        self._retired = True

    async def open(self) -> Lease:
        """
        Take a hold on the body, at once, and open it.

        :raises FileNotFoundError: when the entry is not live any more, or its file is missing.
        :raises OSError: when the file cannot be opened or is not what it was; the entry is dropped.
        """
        if self.state is not State.LIVE:
            raise FileNotFoundError(errno.ENOENT, f"{self.target} is {self.state.value}")
        # Before the first await: from here to the last octet the entry may be doomed, but its
        # file may not be taken away.
        self.body.lease()
        path = self.body.path
        lease = Lease(self, self.body, self.offset, self.length)
        try:
            await self.body.open(
                opener_of(self.offset + self.length),
                check_of(self.offset, self.length, self.digest),
            )
            await self._unsynced.settle(self)
        except OSError as error:
            lease.close()
            if error.errno in NOT_ITS_FAULT:
                raise
            self.lost(error)
            if self.state is not State.LIVE or self.body.path == path:
                raise
            # Only the entry that the body came with is lost, and the body has another link.
            return await self.open()
        except BaseException:
            lease.close()
            raise
        return lease

    def glance(self) -> bytes | None:
        """
        Give the whole body, if it can be read here and now: None says nothing about it.

        Its file is open, was not touched since, need not be made sure of, and is in memory.
        """
        if self.state is not State.LIVE or not self._unsynced.is_settled(self):
            return None
        descriptor = self.body.at_hand()
        if descriptor is None:
            return None
        try:
            octets = read_cached(descriptor, self.offset, self.length)
        except OSError:
            # Whoever reads it as others do finds out once more, and can tell.
            return None
        return octets if len(octets) == self.length else None

    def lost(self, error: OSError) -> None:
        """Be told that what is stored cannot be read; the entry is dropped."""
        self._unreadable(self, error)


@define(eq=False)
class Lease:
    """A reader's hold on an entry: an `osproxy.model.FileBody` of which all octets are there."""

    _entry: Entry
    _blob: Blob
    offset: int
    _length: int
    _closed: bool = field(init=False, default=False)

    @property
    def length(self) -> int:
        """Octets in all."""
        return self._length

    @property
    def available(self) -> int:
        """Octets that may be read now: all of them."""
        return self._length

    def fileno(self) -> int:
        """The descriptor to read from."""
        return self._blob.fileno()

    async def wait(self, position: int) -> bool:
        """Say whether there is an octet at this position."""
        return position < self._length

    def unreadable(self, error: OSError) -> None:
        """Drop the entry, so that whoever asks next gets what can be read."""
        self._entry.lost(error)

    def close(self) -> None:
        """Give the file up; once is enough, twice does no harm."""
        if not self._closed:
            self._closed = True
            self._blob.release()
