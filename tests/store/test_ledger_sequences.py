"""Tests of the ledger under any sequence of what may be asked of it, beside a plainer book."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import define
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.eviction import POLICIES, Eviction
from osproxy.store.ledger import BLOCK, CacheFull, Ledger
from tests.store.naive import NAIVE

if TYPE_CHECKING:
    from tests.store.naive import NaivePolicy


@define
class _File:
    blocks: int
    draft: bool
    image: bool = False
    pinned: bool = False
    leases: int = 0
    doomed: bool = False
    condemned: bool = False


_sizes = st.integers(0, 12 * BLOCK)


def _blocks(octets: int) -> int:
    return (octets + BLOCK - 1) // BLOCK


class LedgerMachine(RuleBasedStateMachine):
    """Any sequence of steps; a slower, plainer book is kept beside it."""

    policy: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(
            40 * BLOCK,
            eviction=Eviction(POLICIES[self.policy]),
            image_space=lambda capacity: capacity // 3,
        )
        self.capacity = 40 * BLOCK
        self.most_files: int | None = None
        self.files: dict[int, _File] = {}
        self.order = NAIVE[self.policy]()
        self.image_order = NAIVE[self.policy]()
        self.superseded: dict[int, float] = {}
        self.due: list[int] = []
        self.now = 0.0
        self.next = 0
        self.most = self.capacity

    def pick(self, data: Any, *, draft: bool | None = None, **wanted: bool) -> int:
        """Choose a file of this kind."""
        keys = self.those(draft=draft, **wanted)
        return int(data.draw(st.sampled_from(keys)))

    def those(self, draft: bool | None = None, **wanted: bool) -> list[int]:
        """Name the files of this kind."""
        return [
            key
            for key, file in self.files.items()
            if (draft is None or file.draft is draft)
            and all(bool(getattr(file, name)) is value for name, value in wanted.items())
        ]

    def octets(self, **wanted: bool) -> int:
        """Add up the files of this kind."""
        return sum(self.files[key].blocks for key in self.those(**wanted)) * BLOCK

    @property
    def used(self) -> int:
        """What the plain book says."""
        return self.octets() + self.ledger.overhead

    def fits(self, octets: int, *, image: bool, new: bool) -> bool:
        """Whether there is so much room, among images if it is for one, and for a file more."""
        wanted = _blocks(octets) * BLOCK
        images = self.octets(image=True, doomed=False)
        return (
            self.used + wanted <= self.capacity
            and (not image or images + wanted <= self.capacity // 3)
            and (not new or self.most_files is None or len(self.files) + 1 <= self.most_files)
        )

    def orders(self, file: _File) -> list[NaivePolicy]:
        """Say in which orders a file stands."""
        if file.pinned:
            return []
        return [self.order, self.image_order] if file.image else [self.order]

    @rule(octets=_sizes, image=st.booleans())
    def reserve(self, octets: int, image: bool) -> None:
        """A reservation is given if and only if it fits."""
        fits = self.fits(octets, image=image, new=True)
        assert self.ledger.fits(octets, image=image, new=True) is fits
        try:
            self.ledger.reserve(self.next, octets, image=image)
        except CacheFull:
            assert not fits
        else:
            assert fits
            self.files[self.next] = _File(_blocks(octets), draft=True, image=image)
        self.next += 1

    @precondition(lambda self: self.those(draft=True, doomed=False))
    @rule(data=st.data(), octets=_sizes)
    def grow(self, data: Any, octets: int) -> None:
        """A reservation grows if and only if it fits."""
        file = self.files[key := self.pick(data, draft=True, doomed=False)]
        more = _blocks(octets) - file.blocks
        fits = more <= 0 or self.fits(more * BLOCK, image=file.image, new=False)
        try:
            self.ledger.grow(key, octets)
        except CacheFull:
            assert not fits
        else:
            assert fits
            file.blocks += max(more, 0)

    @precondition(lambda self: self.those(draft=True, doomed=False))
    @rule(data=st.data(), octets=_sizes)
    def shrink(self, data: Any, octets: int) -> None:
        """What will not be written is given back."""
        file = self.files[key := self.pick(data, draft=True, doomed=False)]
        file.blocks = min(file.blocks, _blocks(octets))
        self.ledger.shrink(key, octets)

    @precondition(lambda self: self.those(draft=True, doomed=False))
    @rule(data=st.data(), pinned=st.sampled_from([False, False, False, True]))
    def settle(self, data: Any, pinned: bool) -> None:
        """A draft becomes an entry, no larger than it was reserved."""
        file = self.files[key := self.pick(data, draft=True, doomed=False)]
        file.blocks = data.draw(st.integers(0, file.blocks))
        file.draft = False
        file.pinned = pinned
        self.ledger.settle(key, file.blocks * BLOCK, evictable=not pinned)
        for order in self.orders(file):
            order.insert(key, file.blocks * BLOCK)

    @rule(octets=_sizes, image=st.booleans(), hotness=st.one_of(st.none(), st.integers(0, 9)))
    def adopt(self, octets: int, image: bool, hotness: int | None) -> None:
        """An entry is found on the disk, fit or not."""
        file = self.files[self.next] = _File(_blocks(octets), draft=False, image=image)
        self.ledger.adopt(self.next, octets, image=image, hotness=hotness)
        for order in self.orders(file):
            if hotness is None:
                order.insert(self.next, octets)
            else:
                order.restore(self.next, octets, hotness)
        self.next += 1
        self.most = max(self.used, self.capacity)

    @precondition(lambda self: self.those(draft=False, doomed=False))
    @rule(data=st.data(), pinned=st.booleans())
    def pin(self, data: Any, pinned: bool) -> None:
        """An entry is pinned, or no longer."""
        file = self.files[key := self.pick(data, draft=False, doomed=False)]
        self.ledger.pin(key, pinned=pinned)
        if pinned is not file.pinned:
            for order in self.orders(file):
                order.remove(key)
            self.unnamed(key)
            file.pinned = pinned
            for order in self.orders(file):
                order.insert(key, file.blocks * BLOCK)

    @precondition(lambda self: self.those(draft=False, doomed=False))
    @rule(data=st.data())
    def touch(self, data: Any) -> None:
        """A use makes an entry stand better."""
        key = self.pick(data, draft=False, doomed=False)
        self.ledger.touch(key)
        for order in self.orders(self.files[key]):
            order.hit(key)

    @precondition(lambda self: self.those(draft=False, doomed=False))
    @rule(data=st.data(), grace=st.integers(0, 3))
    def supersede(self, data: Any, grace: int) -> None:
        """No index names an entry any more."""
        key = self.pick(data, draft=False, doomed=False)
        self.ledger.supersede(key, self.now + grace)
        if not self.files[key].pinned:
            self.unnamed(key)
            self.superseded[key] = self.now + grace

    @precondition(lambda self: self.those(draft=False, doomed=False))
    @rule(data=st.data())
    def unsupersede(self, data: Any) -> None:
        """An index names an entry again."""
        key = self.pick(data, draft=False, doomed=False)
        self.ledger.unsupersede(key)
        self.unnamed(key)

    def unnamed(self, key: int) -> None:
        """Forget that an entry was superseded."""
        self.superseded.pop(key, None)
        if key in self.due:
            self.due.remove(key)

    @rule()
    def wait(self) -> None:
        """Time passes."""
        self.now += 1

    @precondition(lambda self: self.those(doomed=False))
    @rule(data=st.data())
    def lease(self, data: Any) -> None:
        """A reader comes."""
        key = self.pick(data, doomed=False)
        self.ledger.lease(key)
        self.files[key].leases += 1

    @precondition(lambda self: self.those(leases=True))
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        """A reader goes; the last one of a doomed file has it unlinked."""
        file = self.files[key := self.pick(data, leases=True)]
        file.leases -= 1
        file.condemned = file.doomed and not file.leases
        assert self.ledger.release(key) is file.condemned

    @precondition(lambda self: self.those(doomed=False))
    @rule(data=st.data())
    def doom(self, data: Any) -> None:
        """A file is let go; it is unlinked at once if nobody reads it."""
        self.let_go(self.pick(data, doomed=False))

    def let_go(self, key: int) -> None:
        """Doom in both books."""
        file = self.files[key]
        file.doomed = True
        file.condemned = not file.leases
        assert self.ledger.doom(key) is file.condemned
        self.unnamed(key)
        if not file.draft:
            for order in self.orders(file):
                order.remove(key)

    @precondition(lambda self: self.those(condemned=True))
    @rule(data=st.data())
    def removed(self, data: Any) -> None:
        """An unlink has happened."""
        key = self.pick(data, condemned=True)
        self.ledger.removed(key)
        del self.files[key]

    @rule(octets=_sizes, image=st.booleans(), new=st.booleans(), spare=st.booleans())
    def evict(self, octets: int, image: bool, new: bool, spare: bool) -> None:
        """Those are named that the plain book names, and once they are gone it fits."""
        missing = self.ledger.missing(octets, image=image, new=new)
        named = self.ledger.victims(missing, self.now)
        short, over, many = self.lacking(octets, image=image, new=new)
        idle = self.octets(draft=False, doomed=False, pinned=False, leases=False)
        idle_files = self.those(draft=False, doomed=False, pinned=False, leases=False)
        images = self.octets(draft=False, doomed=False, pinned=False, image=True)
        if short <= idle and over <= images and many <= len(idle_files):
            assert list(named) == self.expected(short, over, many)
        else:
            assert named == ()
        if spare:
            return
        for key in named:
            self.let_go(key)
        for key in self.those(condemned=True):
            self.ledger.removed(key)
            del self.files[key]
        if named:
            assert self.fits(octets, image=image, new=new)

    @rule()
    def come_down(self) -> None:
        """After a surplus has gone, what is left is within bounds, but for what cannot go."""
        named = self.ledger.surplus(self.now)
        assert list(named) == self.expected(*self.lacking(0, image=False, new=False))
        for key in named:
            self.let_go(key)
        for key in self.those(condemned=True):
            self.ledger.removed(key)
            del self.files[key]
        left = self.octets(draft=False, doomed=False, pinned=False, leases=False)
        assert self.used <= self.capacity or not left
        left_files = self.those(draft=False, doomed=False, pinned=False, leases=False)
        most = len(self.files) if self.most_files is None else self.most_files
        assert len(self.files) <= most or not left_files
        images = self.octets(draft=False, doomed=False, pinned=False, image=True)
        assert self.octets(image=True, doomed=False) <= self.capacity // 3 or not images

    def lacking(self, octets: int, *, image: bool, new: bool) -> tuple[int, int, int]:
        """Say how much is missing in all, and for images, and how many files are too many."""
        wanted = _blocks(octets) * BLOCK
        short = self.used + wanted - self.octets(condemned=True) - self.capacity
        images = self.octets(image=True, doomed=False) + (wanted if image else 0)
        files = len(self.files) - len(self.those(condemned=True)) + new
        many = 0 if self.most_files is None else files - self.most_files
        return short, images - self.capacity // 3, many

    def expected(self, short: int, over: int, many: int) -> list[int]:
        """Name images until they are within their bounds, then others until all is."""
        named: list[int] = []
        images = self.image_order.victims()
        while over > 0 and (key := next(images, None)) is not None:
            named.append(key)
            file = self.files[key]
            over -= file.blocks * BLOCK
            short -= 0 if file.leases else file.blocks * BLOCK
            many -= 0 if file.leases else 1
        if short > 0 or many > 0:
            over_now = [key for key, until in self.superseded.items() if until <= self.now]
            for key in sorted(over_now, key=lambda key: (self.superseded[key], key)):
                del self.superseded[key]
                self.due.append(key)
        others = chain(list(self.due), self.order.victims())
        while (short > 0 or many > 0) and (key := next(others, None)) is not None:
            if key not in named:
                named.append(key)
                file = self.files[key]
                short -= 0 if file.leases else file.blocks * BLOCK
                many -= 0 if file.leases else 1
        return named

    @rule(octets=st.integers(0, 60 * BLOCK), files=st.one_of(st.none(), st.integers(0, 8)))
    def set_capacity(self, octets: int, files: int | None) -> None:
        """The disk gets fuller or emptier."""
        self.ledger.set_capacity(octets, files)
        self.capacity = octets
        self.most_files = files
        self.most = max(self.used, octets)

    @rule(octets=st.integers(0, 5 * BLOCK))
    def set_overhead(self, octets: int) -> None:
        """The catalogue grows or shrinks."""
        self.ledger.overhead = octets
        self.most = max(self.used, self.capacity)

    @invariant()
    def adds_up(self) -> None:
        """B6: the sums are those of the files, and never pass the capacity by a reservation."""
        assert self.ledger.used == self.used
        assert self.ledger.capacity == self.capacity
        assert self.ledger.files == len(self.files)
        assert self.ledger.used <= self.most
        self.most = max(self.capacity, self.ledger.used)
        parts = self.ledger.stored + self.ledger.reserved + self.ledger.awaiting
        assert parts + self.ledger.overhead == self.ledger.used
        assert self.ledger.images == self.octets(image=True, doomed=False)
        assert self.ledger.image_capacity == self.capacity // 3
        assert self.ledger.pinned == self.octets(pinned=True, doomed=False)

    @invariant()
    def doomed_stay(self) -> None:
        """B5: a file with readers has not left the book, and neither has one not unlinked."""
        assert self.ledger.awaiting == self.octets(doomed=True)
        for key, file in self.files.items():
            assert key in self.ledger
            assert self.ledger.leased(key) is (file.leases > 0)

    @invariant()
    def standing(self) -> None:
        """What is to be written down of an entry is what its order says."""
        for key in self.those(draft=False, doomed=False):
            expected = 0 if self.files[key].pinned else self.order.hotness(key)
            assert self.ledger.hotness(key) == expected
            assert self.ledger.is_pinned(key) is self.files[key].pinned


class LedgerSequenceTests(SynchronousTestCase):
    """Every sequence of steps, under each policy."""

    def check(self, policy: str) -> None:
        """Let hypothesis look for a sequence that breaks something."""
        machine = type(f"{policy}Machine", (LedgerMachine,), {"policy": policy})
        run_state_machine_as_test(
            machine, settings=settings(max_examples=60, stateful_step_count=40)
        )

    def test_clock(self) -> None:
        """B5 and B6 hold after every step of any sequence, and who goes is who should."""
        self.check("clock")

    def test_gdsf(self) -> None:
        """B5 and B6 hold after every step of any sequence, and who goes is who should."""
        self.check("gdsf")

    def test_lru(self) -> None:
        """B5 and B6 hold after every step of any sequence, and who goes is who should."""
        self.check("lru")
