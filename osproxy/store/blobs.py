"""
One file: where it is in its life, who has a hold on it, and the descriptor that they share.

Readers share one descriptor, opened by the first and closed by the last, or a while later. Whether
a file may go is the ledger's to say; the unlink itself is `osproxy.store.removal`'s. How the file
is made, opened and published is in `osproxy.store.files`.
"""

from __future__ import annotations

import errno
import os
from enum import Enum
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import DeferredSemaphore

from osproxy.model import BodyBroken
from osproxy.store.alteration import condition_of, is_marked
from osproxy.store.openfiles import LARGEST, OpenFiles
from osproxy.waiting import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from osproxy.store.alteration import Condition
    from osproxy.store.layout import Directory
    from osproxy.store.ledger import Ledger
    from osproxy.threads import InThread

_P = ParamSpec("_P")
_T = TypeVar("_T")

_READINGS = 2


class State(Enum):
    """Where a file is in its life."""

    DRAFT = "being written"
    KEPT = "waiting to be completed"
    SEALED = "being committed"
    LIVE = "an entry"
    DOOMED = "out of sight"
    GONE = "unlinked"


_TRANSITIONS = {
    State.DRAFT: {State.SEALED, State.KEPT, State.DOOMED},
    State.KEPT: {State.DRAFT, State.DOOMED},
    State.SEALED: {State.LIVE, State.DOOMED},
    State.LIVE: {State.DOOMED},
    State.DOOMED: {State.GONE},
    State.GONE: set[State](),
}


class Unlinks(Protocol):
    """Whoever unlinks files that have no reader."""

    def unlink(self, blob: Blob) -> None:
        """Close the file and remove it, soon."""


@frozen(eq=False)
class Shelf:
    """What all files of a store have in common."""

    directory: Directory
    ledger: Ledger
    in_thread: InThread
    removal: Unlinks
    open_files: OpenFiles = field(factory=OpenFiles)
    # To read files as a whole may take minutes, and must not take all the threads.
    reading: DeferredSemaphore = field(factory=lambda: DeferredSemaphore(_READINGS))


@define(eq=False)
class Blob:
    """
    A file, from its first octet to its unlink.

    :ivar published: whether it lies among the entries, no longer among the drafts.
    :ivar nameless: whether only the second link to it is left, which is for those who share it.
    :ivar made: whether there is a file at all, as far as is known.
    :ivar descriptor: what its readers, and its writer, share.
    :ivar spoilt: set when its octets turn out to be wrong: then nobody reads on.
    """

    id: int
    _shelf: Shelf
    state: State = State.DRAFT
    published: bool = False
    nameless: bool = False
    made: bool = True
    descriptor: int | None = field(init=False, default=None)
    spoilt: bool = field(init=False, default=False)
    _astray: bool = field(init=False, default=False)
    _opening: bool = field(init=False, default=False)
    _opened: Waiters = field(init=False, factory=Waiters)
    _trouble: OSError | None = field(init=False, default=None)
    # That of an open file that was checked.
    _condition: Condition | None = field(init=False, default=None)

    @property
    def path(self) -> Path:
        """Where it lies."""
        directory = self._shelf.directory
        if not self.published:
            return directory.draft_path(self.id)
        return directory.body_path(self.id) if self.nameless else directory.entry_path(self.id)

    @property
    def links(self) -> tuple[Path, ...]:
        """Wherever it may lie."""
        directory = self._shelf.directory
        if not self.made:
            # A disk that is read-only, or broken, does not even take away what is not there.
            return ()
        if not self.published:
            draft = directory.draft_path(self.id)
            return (draft, directory.entry_path(self.id)) if self._astray else (draft,)
        return directory.entry_path(self.id), directory.body_path(self.id)

    @property
    def leased(self) -> bool:
        """Whether anyone has a hold on it."""
        return self._shelf.ledger.leased(self.id)

    def fileno(self) -> int:
        """
        The descriptor; there is one while anyone has a lease.

        :raises BodyBroken: when the file is spoilt.
        """
        if self.spoilt:
            raise BodyBroken("the file is damaged")
        if self.descriptor is None:
            raise ValueError(f"file {self.id} is not open")
        return self.descriptor

    def become(self, state: State) -> None:
        """Go on to the next state; one that was not declared is a bug."""
        if state not in _TRANSITIONS[self.state]:
            raise ValueError(f"file {self.id}: {self.state.value}, does not become {state.value}")
        # What was to be renamed may have been, even if what came after that has failed.
        self._astray = self.state is State.SEALED and state is State.DOOMED
        self.state = state

    async def open(
        self, opener: Callable[[Path], int], check: Callable[[int], None] | None = None
    ) -> None:
        """
        See that there is a descriptor, for one who has a lease or writes.

        Those who come while it is opened wait for the same opening, each for itself.

        :param check: raises when the file is not what it was; called if there is a reason to doubt.
        """
        if self.descriptor is None and not self._opening:
            self._opening = True
            self._trouble = None
            # Never cancelled: the thread would open the file all the same, and nobody close it.
            opening = self._shelf.in_thread(opener, self.path)
            if check is not None:
                opening.addCallback(self._checked, check)
            opening.addCallbacks(self._open_succeeded, self._open_failed, (check is not None,))
        await self.settled()
        if self.spoilt:
            raise OSError(errno.EIO, "found damaged meanwhile", str(self.path))
        if self.descriptor is None:
            raise self._trouble or FileNotFoundError(errno.ENOENT, "closed meanwhile")

    def at_hand(self) -> int | None:
        """Give the descriptor if there is one already, for as long as the reactor's turn lasts."""
        files = self._shelf.open_files
        if self in files:
            if not self._as_it_was():
                self.let_go()
                return None
            files.keep(self)
        return None if self.spoilt else self.descriptor

    def _as_it_was(self) -> bool:
        """Whether nobody has done anything to a file since it was opened."""
        return self.descriptor is not None and condition_of(self.descriptor) == self._condition

    @property
    def opening(self) -> bool:
        """Whether an opening is under way."""
        return self._opening

    async def settled(self) -> None:
        """Return once no opening is under way."""
        while self._opening:
            await self._opened.wait()

    def lease(self) -> None:
        """Take a hold on the file; from now on it is not closed for the sake of others."""
        if self._shelf.open_files.forget(self) and not self._as_it_was():
            self.let_go()
        self._shelf.ledger.lease(self.id)

    def release(self) -> None:
        """Give a hold up; the last one closes the file, and unlinks it if it is doomed."""
        if self._shelf.ledger.release(self.id):
            self._shelf.removal.unlink(self)
        else:
            self.close_if_idle()

    def close_if_idle(self) -> None:
        """Close a file that nobody reads or writes, unless it stays open for who comes next."""
        if self.state not in (State.LIVE, State.KEPT) or self._shelf.ledger.leased(self.id):
            return
        if self._condition is not None and self.state is State.LIVE:
            self._shelf.open_files.keep(self)
        else:
            self.let_go()

    def take_descriptor(self) -> int | None:
        """Hand the descriptor to whoever will close it."""
        self._shelf.open_files.forget(self)
        taken, self.descriptor, self._condition = self.descriptor, None, None
        return taken

    def let_go(self) -> None:
        """Close the file and leave it where it is."""
        taken = self.take_descriptor()
        if taken is not None:
            os.close(taken)

    def doom(self) -> None:
        """Take the file out of sight: it is unlinked when its last reader has left."""
        self.become(State.DOOMED)
        if self._shelf.ledger.doom(self.id):
            self._shelf.removal.unlink(self)

    def read_whole(
        self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """Call what reads all of the file in a thread, when not too many others do so."""
        return self._shelf.reading.run(self._shelf.in_thread, function, *args, **kwargs)

    def _checked(self, descriptor: int, check: Callable[[int], None]) -> int | Deferred[int]:
        if is_marked(descriptor):
            return descriptor

        def close(failure: Failure) -> Failure:
            os.close(descriptor)
            return failure

        return self.read_whole(check, descriptor).addCallbacks(lambda _: descriptor, close)

    def _open_succeeded(self, descriptor: int, checked: bool) -> None:
        self.descriptor = descriptor
        self.made = True
        condition = condition_of(descriptor) if checked else None
        if condition is not None and condition[0] <= LARGEST:
            self._condition = condition
        # All who waited may have left. A doomed file is closed by its removal.
        self._open_ended()
        self.close_if_idle()

    def _open_failed(self, failure: Failure) -> None:
        if isinstance(failure.value, OSError):
            self._trouble = failure.value
        else:
            self._trouble = OSError(errno.EIO, f"could not be opened: {failure.value}")
        self._open_ended()

    def _open_ended(self) -> None:
        self._opening = False
        self._opened.wake()
