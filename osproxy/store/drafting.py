"""
The drafts of one store: begun, given room, put aside, taken up again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, evolve, field
from twisted.logger import Logger

from osproxy.store.blobs import Blob, State
from osproxy.store.drafts import Draft
from osproxy.store.entries import NOT_ITS_FAULT
from osproxy.store.files import creator_of, opener_of
from osproxy.store.kept import trusted
from osproxy.store.ledger import CacheFull
from osproxy.store.records import draft_header_of, room_for

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from osproxy.model import Target
    from osproxy.store.blobs import Shelf
    from osproxy.store.kept import Kept
    from osproxy.store.ledger import Ledger
    from osproxy.store.records import DraftRecord, FoundDraft
    from osproxy.store.room import Room
    from osproxy.waiting import Tasks


@define(eq=False)
class Drafting:
    """
    Those that are being written, and the way to and from those that are `Kept`.

    :ivar boot: names this boot of the machine, empty where that is not known.
    """

    log = Logger()

    _ledger: Ledger
    _room: Room
    _kept: Kept
    _shelf: Shelf
    _tasks: Tasks
    _clock: IReactorTime
    boot: str
    _running: dict[int, Draft] = field(init=False, factory=dict)

    def __len__(self) -> int:
        """How many are being written."""
        return len(self._running)

    @property
    def unwritten(self) -> int:
        """Octets that are reserved and not on the disk yet."""
        return sum(draft.reserved - draft.size for draft in self._running.values())

    async def begin(self, record: DraftRecord) -> Draft:
        """
        Make room for a body and open a file for it; what was put aside for its target goes.

        :param record: in which the offset is not known yet.
        :raises CacheFull: when there is no room, eviction tried.
        :raises OSError: when the file cannot be made.
        """
        record = evolve(record, offset=room_for(record))
        wanted = record.offset + (self._room.step if record.length is None else record.length)
        image = self._room.image(record.target, record.kind)
        await self._room.claim(
            record.target,
            record.kind,
            wanted,
            lambda: self._ledger.reserve(record.id, wanted, image=image),
            new=True,
        )
        # One reactor turn from the reservation to here.
        self._kept.drop(record.target)
        draft = self._draft_of(record, wanted)
        draft.blob.made = False
        self._running[record.id] = draft
        try:
            await draft.blob.open(creator_of(draft_header_of(record)))
        except BaseException:
            draft.discard()
            raise
        return draft

    async def resume(self, target: Target) -> Draft | None:
        """
        Take up the draft that was put aside for a target, with room for its rest.

        None where there is none, or none that can be continued.
        """
        draft = self._kept.take(target)
        if draft is None:
            return None
        self._running[draft.blob.id] = draft
        draft.blob.become(State.DRAFT)
        try:
            if draft.length is not None:
                await self.make_room(draft, draft.length - draft.written)
            await draft.blob.open(opener_of(draft.size, writing=True))
        except CacheFull:
            draft.put_aside()
            return None
        except OSError as error:
            if error.errno in NOT_ITS_FAULT:
                draft.put_aside()
                return None
            self.log.error("the draft of {target} is lost: {error}", target=target, error=error)
            draft.discard()
            return None
        except BaseException:
            draft.put_aside()
            raise
        # A stop may have put it aside again in the meantime.
        return draft if draft.blob.state is State.DRAFT else None

    def adopt(self, found: FoundDraft) -> bool:
        """Put a draft aside that an earlier run has left, and say whether it is any use."""
        record, size = found.record, found.record.offset + found.written
        if self._later(record) or not trusted(found, self.boot, self._clock.seconds()):
            return False
        try:
            image = self._room.image(record.target, record.kind)
            self._ledger.reserve(record.id, size, image=image)
        except CacheFull:
            return False
        draft = self._draft_of(record, size)
        draft.written = found.written
        draft.blob.become(State.KEPT)
        self._kept.put(draft, found.touched)
        return True

    def _later(self, record: DraftRecord) -> bool:
        """Whether somebody has begun anew, or put aside what is newer."""
        others = [*self._running.values(), self._kept.find(record.target)]
        return any(it and it.target == record.target and it.blob.id > record.id for it in others)

    def put_all_aside(self) -> None:
        """Let nobody write any more."""
        for draft in list(self._running.values()):
            draft.put_aside()

    def forget(self, draft: Draft) -> None:
        """Count a draft no longer; it is an entry, or nothing."""
        del self._running[draft.blob.id]

    async def make_room(self, draft: Draft, octets: int) -> None:
        """
        Reserve so much for what a draft is to take next.

        :raises CacheFull: when there is no room, eviction tried.
        """

        def claim() -> None:
            if draft.blob.state is State.DRAFT:
                draft.extend(wanted)

        wanted = draft.size + octets
        if wanted > draft.reserved:
            await self._room.claim(draft.target, draft.record.kind, wanted - draft.reserved, claim)

    def _draft_of(self, record: DraftRecord, reserved: int) -> Draft:
        return Draft(
            record=record,
            reserved=reserved,
            blob=Blob(record.id, self._shelf),
            ledger=self._ledger,
            step=self._room.step,
            running_short=lambda draft: self._tasks.unattended(self._extend(draft)),
            discarded=self.forget,
            put_aside=self._keep,
        )

    def _keep(self, draft: Draft) -> None:
        self.forget(draft)
        self._kept.put(draft, self._clock.seconds())

    async def _extend(self, draft: Draft) -> None:
        def claim() -> None:
            if draft.blob.state is State.DRAFT:
                draft.extend(draft.reserved + draft.step)

        try:
            await self._room.claim(draft.target, draft.record.kind, draft.step, claim)
        except CacheFull:
            # The write that needs it will say so, if there is one.
            return
