"""Tests of the ledger: what is said of space is true after every step."""

from __future__ import annotations

from typing import Any

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

from osproxy.store.ledger import BLOCK, CacheFull, Ledger


class LedgerTests(SynchronousTestCase):
    """One thing at a time."""

    def test_counts_whole_blocks(self) -> None:
        """A file of one octet takes a block, as on the disk."""
        ledger = Ledger(10 * BLOCK)
        ledger.reserve(1, 1)
        self.assertEqual(ledger.used, BLOCK)

    def test_refuses_what_does_not_fit(self) -> None:
        """A reservation beyond the capacity is refused, and leaves no trace."""
        ledger = Ledger(2 * BLOCK)
        ledger.reserve(1, BLOCK)
        self.assertRaises(CacheFull, ledger.reserve, 2, BLOCK + 1)
        self.assertEqual(ledger.used, BLOCK)
        self.assertNotIn(2, ledger)

    def test_grows(self) -> None:
        """A reservation that cannot grow stays what it was; one that shrinks is left alone."""
        ledger = Ledger(3 * BLOCK)
        ledger.reserve(1, BLOCK)
        ledger.grow(1, 2 * BLOCK)
        self.assertRaises(CacheFull, ledger.grow, 1, 4 * BLOCK)
        ledger.grow(1, BLOCK)
        self.assertEqual(ledger.reserved, 2 * BLOCK)

    def test_settles_at_the_final_size(self) -> None:
        """What was reserved and not written is free once the file is whole."""
        ledger = Ledger(9 * BLOCK)
        ledger.reserve(1, 5 * BLOCK)
        ledger.settle(1, 2 * BLOCK)
        self.assertEqual((ledger.reserved, ledger.stored), (0, 2 * BLOCK))

    def test_settles_no_more_than_was_reserved(self) -> None:
        """A file cannot be larger than what was reserved for it."""
        ledger = Ledger(9 * BLOCK)
        ledger.reserve(1, BLOCK)
        self.assertRaises(ValueError, ledger.settle, 1, 2 * BLOCK)

    def test_doomed_counts_until_unlinked(self) -> None:
        """B5: an evicted file counts until its last reader has left and the unlink happened."""
        ledger = Ledger(9 * BLOCK)
        ledger.adopt(1, BLOCK)
        ledger.lease(1)
        ledger.lease(1)
        self.assertFalse(ledger.doom(1))
        self.assertFalse(ledger.release(1))
        self.assertEqual(ledger.awaiting, BLOCK)
        self.assertTrue(ledger.release(1))
        self.assertEqual(ledger.awaiting, BLOCK)
        ledger.removed(1)
        self.assertEqual(ledger.used, 0)

    def test_names_the_least_recently_used(self) -> None:
        """Who was not used for the longest time goes first, and no more go than must."""
        ledger = Ledger(4 * BLOCK)
        for key in (1, 2, 3, 4):
            ledger.adopt(key, BLOCK)
        ledger.touch(1)
        self.assertEqual(ledger.victims(2 * BLOCK), (2, 3))

    def test_names_none_in_vain(self) -> None:
        """Nobody goes for what would not fit anyway, nor for what fits already."""
        ledger = Ledger(4 * BLOCK)
        ledger.reserve(9, 2 * BLOCK)
        ledger.adopt(1, BLOCK)
        self.assertEqual(ledger.victims(3 * BLOCK), ())
        self.assertEqual(ledger.victims(BLOCK), ())

    def test_does_not_count_on_what_is_read(self) -> None:
        """A file with readers goes in its turn, but another goes for the space."""
        ledger = Ledger(2 * BLOCK)
        ledger.adopt(1, BLOCK)
        ledger.adopt(2, BLOCK)
        ledger.lease(1)
        self.assertEqual(ledger.victims(BLOCK), (1, 2))
        ledger.touch(1)
        self.assertEqual(ledger.victims(BLOCK), (2,))

    def test_counts_on_what_is_being_unlinked(self) -> None:
        """Space that is about to become free is not made free twice."""
        ledger = Ledger(2 * BLOCK)
        ledger.adopt(1, BLOCK)
        ledger.adopt(2, BLOCK)
        ledger.doom(1)
        self.assertEqual(ledger.victims(BLOCK), ())

    def test_missing(self) -> None:
        """What has to go is what does not fit beside what stays; what is going anyway does not."""
        ledger = Ledger(4 * BLOCK, headroom=BLOCK)
        ledger.adopt(1, BLOCK)
        ledger.reserve(2, BLOCK)
        self.assertEqual(ledger.missing(BLOCK), 0)
        self.assertEqual(ledger.missing(2 * BLOCK + 1), 2 * BLOCK)
        self.assertEqual(ledger.missing(0), -BLOCK)
        ledger.doom(1)
        self.assertEqual(ledger.missing(2 * BLOCK), 0)

    def test_spares_what_is_not_evictable(self) -> None:
        """A file that was settled for good is never named."""
        ledger = Ledger(2 * BLOCK)
        ledger.reserve(1, BLOCK)
        ledger.settle(1, BLOCK, evictable=False)
        ledger.touch(1)
        self.assertEqual(ledger.victims(2 * BLOCK), ())

    def test_surplus_after_shrinking(self) -> None:
        """When less is allowed, as many go as must, or as many as can."""
        ledger = Ledger(4 * BLOCK)
        for key in (1, 2, 3):
            ledger.adopt(key, BLOCK)
        ledger.lease(3)
        ledger.set_capacity(2 * BLOCK)
        self.assertEqual(ledger.surplus(), (1,))
        ledger.set_capacity(0)
        self.assertEqual(ledger.surplus(), (1, 2, 3))

    def test_counts_the_catalogue(self) -> None:
        """B6: the catalogue takes from the capacity, too."""
        ledger = Ledger(2 * BLOCK)
        ledger.overhead = BLOCK + 1
        self.assertEqual((ledger.overhead, ledger.used), (2 * BLOCK, 2 * BLOCK))
        self.assertRaises(CacheFull, ledger.reserve, 1, 1)

    def test_undeclared_steps_raise(self) -> None:
        """A step that a file cannot take is a bug, and says so."""
        ledger = Ledger(9 * BLOCK)
        ledger.reserve(1, BLOCK)
        ledger.adopt(2, BLOCK)
        for step in (
            lambda: ledger.reserve(1, 1),
            lambda: ledger.adopt(1, 1),
            lambda: ledger.touch(1),
            lambda: ledger.release(1),
            lambda: ledger.removed(1),
            lambda: ledger.settle(2, 1),
            lambda: ledger.grow(2, 1),
            lambda: ledger.shrink(2, 1),
            lambda: ledger.lease(3),
        ):
            self.assertRaises(ValueError, step)
        ledger.doom(1)
        self.assertRaises(ValueError, ledger.doom, 1)
        self.assertRaises(ValueError, ledger.lease, 1)


@define
class _File:
    blocks: int
    draft: bool
    leases: int = 0
    doomed: bool = False
    condemned: bool = False


_sizes = st.integers(0, 12 * BLOCK)


def _blocks(octets: int) -> int:
    return (octets + BLOCK - 1) // BLOCK


class LedgerMachine(RuleBasedStateMachine):
    """Any sequence of steps; a slower, plainer book is kept beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(40 * BLOCK)
        self.capacity = 40 * BLOCK
        self.files: dict[int, _File] = {}
        self.order: list[int] = []
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

    @property
    def used(self) -> int:
        """What the plain book says."""
        return sum(file.blocks for file in self.files.values()) * BLOCK + self.ledger.overhead

    @rule(octets=_sizes)
    def reserve(self, octets: int) -> None:
        """A reservation is given if and only if it fits."""
        fits = self.used + _blocks(octets) * BLOCK <= self.capacity
        try:
            self.ledger.reserve(self.next, octets)
        except CacheFull:
            assert not fits
        else:
            assert fits
            self.files[self.next] = _File(_blocks(octets), draft=True)
        self.next += 1

    @precondition(lambda self: self.those(draft=True, doomed=False))
    @rule(data=st.data(), octets=_sizes)
    def grow(self, data: Any, octets: int) -> None:
        """A reservation grows if and only if it fits."""
        file = self.files[key := self.pick(data, draft=True, doomed=False)]
        more = _blocks(octets) - file.blocks
        fits = more <= 0 or self.used + more * BLOCK <= self.capacity
        try:
            self.ledger.grow(key, octets)
        except CacheFull:
            assert not fits
        else:
            assert fits
            file.blocks += max(more, 0)

    @precondition(lambda self: self.those(draft=True, doomed=False))
    @rule(data=st.data())
    def settle(self, data: Any) -> None:
        """A draft becomes an entry, no larger than it was reserved."""
        file = self.files[key := self.pick(data, draft=True, doomed=False)]
        file.blocks = data.draw(st.integers(0, file.blocks))
        file.draft = False
        self.ledger.settle(key, file.blocks * BLOCK)
        self.order.append(key)

    @precondition(lambda self: self.those(draft=False, doomed=False))
    @rule(data=st.data())
    def touch(self, data: Any) -> None:
        """A use moves an entry to the end."""
        key = self.pick(data, draft=False, doomed=False)
        self.ledger.touch(key)
        self.order.remove(key)
        self.order.append(key)

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
        if not file.draft:
            self.order.remove(key)

    @precondition(lambda self: self.those(condemned=True))
    @rule(data=st.data())
    def removed(self, data: Any) -> None:
        """An unlink has happened."""
        key = self.pick(data, condemned=True)
        self.ledger.removed(key)
        del self.files[key]

    @rule(octets=_sizes)
    def evict(self, octets: int) -> None:
        """What is named suffices, is the oldest idle, and is none too many."""
        idle = [key for key in self.order if not self.files[key].leases]
        named = self.ledger.victims(octets)
        assert list(named) == idle[: len(named)]
        soon = sum(self.files[key].blocks for key in self.those(condemned=True))
        free = self.capacity - self.used + soon * BLOCK
        gained = [self.files[key].blocks * BLOCK for key in named]
        if named:
            assert free + sum(gained) >= _blocks(octets) * BLOCK
            assert free + sum(gained[:-1]) < _blocks(octets) * BLOCK
        else:
            everything = sum(self.files[key].blocks for key in idle) * BLOCK
            needed = _blocks(octets) * BLOCK
            assert free >= needed or free + everything < needed
        for key in named:
            self.let_go(key)

    @rule(octets=st.integers(0, 60 * BLOCK))
    def set_capacity(self, octets: int) -> None:
        """The disk gets fuller or emptier."""
        self.ledger.set_capacity(octets)
        self.capacity = octets
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
        assert self.ledger.used <= self.most
        self.most = max(self.capacity, self.ledger.used)
        parts = self.ledger.stored + self.ledger.reserved + self.ledger.awaiting
        assert parts + self.ledger.overhead == self.ledger.used

    @invariant()
    def doomed_stay(self) -> None:
        """B5: a file with readers has not left the book, and neither has one not unlinked."""
        awaiting = sum(file.blocks for file in self.files.values() if file.doomed)
        assert self.ledger.awaiting == awaiting * BLOCK
        for key, file in self.files.items():
            assert key in self.ledger
            assert self.ledger.leased(key) is (file.leases > 0)


class LedgerSequenceTests(SynchronousTestCase):
    """Every sequence of steps."""

    def test_sequences(self) -> None:
        """B5 and B6 hold after every step of any sequence."""
        run_state_machine_as_test(
            LedgerMachine,
            settings=settings(max_examples=60, stateful_step_count=40, deadline=None),
        )
