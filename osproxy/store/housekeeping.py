"""
What a store does now and then: notes are written down, files synced, old drafts go.

What the disk refuses is tried again the next time; so is what is left of the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from osproxy.store.trouble import DISK_ERRORS, Work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime

    from osproxy.store.kept import Kept
    from osproxy.store.loading import Loading
    from osproxy.store.notes import Notes
    from osproxy.store.removal import Removal
    from osproxy.store.renewal import Renewal
    from osproxy.store.room import Room
    from osproxy.store.trouble import Trouble
    from osproxy.store.unsynced import Unsynced
    from osproxy.waiting import Tasks

_TICK = 5.0
_TICKS_BETWEEN_LOOKS = 2
_TICKS_BETWEEN_SYNCS = 12


@define(eq=False)
class Housekeeping:
    """
    The recurring work of one store.

    :param unwritten: says how many octets are reserved and not on the disk yet.
    """

    _log = Logger()

    _root: Path
    _loading: Loading
    _kept: Kept
    _notes: Notes
    _room: Room
    _removal: Removal
    _renewal: Renewal
    _unsynced: Unsynced
    _trouble: Trouble
    _tasks: Tasks
    _clock: IReactorTime
    _unwritten: Callable[[], int]
    _ticks: int = field(init=False, default=0)
    _loop: LoopingCall = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Have a loop that is not running yet."""
        self._loop = LoopingCall(self._tick_and_survive)
        self._loop.clock = self._clock

    def begin(self) -> None:
        """Do it from now on, and what is left of the start at once."""
        self._load()
        self._loop.start(_TICK, now=False)

    def end(self) -> None:
        """Do it no more."""
        if self._loop.running:
            self._loop.stop()

    def _load(self) -> None:
        self._tasks.unattended(self.attempt(Work.LOOK, self._loading.run()))

    async def look(self) -> None:
        """See how much may be taken."""
        await self.attempt(Work.LOOK, self._room.look(self._root, self._unwritten))

    async def write_down(self) -> None:
        """Write down what the catalogue does not know yet."""
        await self.attempt(Work.CATALOGUE, self._notes.write_down(self._clock.seconds()))

    async def attempt(self, work: Work, doing: Awaitable[None]) -> None:
        """Do what the disk may refuse; then it is not done."""
        try:
            await doing
        except DISK_ERRORS as error:
            self._trouble.met(work, error, self._root)

    def _tick_and_survive(self) -> Deferred[None]:
        # A bug must not be the end of all that is done now and then.
        return self._tasks.start(self._tick()).addErrback(
            lambda failure: self._log.failure("in housekeeping", failure)
        )

    async def _tick(self) -> None:
        self._ticks += 1
        self._kept.expire(self._clock.seconds())
        await self.write_down()
        if self._ticks % _TICKS_BETWEEN_LOOKS == 0:
            await self.attempt(Work.DIRECTORY, self._renewal.see_to_it())
            await self.look()
            self._removal.retry()
            self._load()
        if self._ticks % _TICKS_BETWEEN_SYNCS == 0:
            await self.attempt(Work.SYNC, self._unsynced.write_out())
