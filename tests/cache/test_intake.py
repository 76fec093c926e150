"""Tests of `osproxy.cache.intake`."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred

from osproxy.cache.intake import Intake
from osproxy.model import Target
from osproxy.repo.kinds import Kind
from osproxy.store.ledger import CacheFull
from osproxy.upstream.origin import Unreachable
from tests.cache.doubles import CacheTestCase
from tests.cache.origin import Told, unreachable
from tests.store.doubles import HEAD, MIB, WhenTold, at_once, find, run, target

if TYPE_CHECKING:
    from osproxy.upstream.origin import Reply

RPM = "/oss/old.rpm"


class IntakeTests(CacheTestCase):
    """A body of unknown length comes no faster than there is room for it."""

    cache_size = 4 * MIB

    def setUp(self) -> None:
        """Have a file stored that takes most of the room, and begin a draft."""
        super().setUp()
        self.store(RPM, bytes(3 * MIB))
        begun = run(self.bench.store.begin(target("a"), HEAD, None, kind=Kind.PACKAGE))
        self.draft = self.successResultOf(begun)
        self.thread = WhenTold()
        self.told = Told()
        self.grown: list[int] = []

    def tearDown(self) -> None:
        """Give the draft up."""
        self.thread.run_all()
        self.bench.place.in_thread = at_once
        self.draft.discard()
        super().tearDown()

    def take(self, skip: int = 0, count: int | None = None) -> Deferred[None]:
        """Begin to take the body."""
        intake = Intake(self.bench.store, self.draft, lambda: self.grew(), skip, count)
        return Deferred.fromCoroutine(intake.take(cast("Reply", self.told)))

    def grew(self) -> None:
        """Note how large the draft is."""
        self.grown.append(self.draft.written)

    def outrun(self) -> Deferred[None]:
        """Let more come than there is room for, while the disk takes its time."""
        self.bench.place.in_thread = self.thread
        taking = self.take()
        self.told.send(b"a" * 2 * MIB)
        self.assertTrue(self.told.paused)
        return taking

    def test_fits(self) -> None:
        """What fits is written as it comes."""
        taking = self.take()
        self.told.send(b"a")
        self.told.send(b"bc")
        self.assertEqual(self.grown, [1, 3])
        self.told.finish()
        self.successResultOf(taking)

    def written(self) -> bytes:
        """Read what is in the draft."""
        return os.pread(self.draft.fileno(), self.draft.written + 1, self.draft.offset)

    def test_skips(self) -> None:
        """What is here already is left out, in whatever pieces it comes."""
        taking = self.take(skip=4, count=9)
        for data in (b"abc", b"d", b"efghi"):
            self.told.send(data)
        self.told.finish()
        self.successResultOf(taking)
        self.assertEqual((self.written(), self.grown), (b"efghi", [5]))

    def test_too_much(self) -> None:
        """More than was said is refused, and no octet of it written."""
        taking = self.take(count=4)
        self.told.send(b"abc")
        self.told.send(b"de")
        self.failureResultOf(taking, Unreachable)
        self.assertEqual((self.written(), self.told.abandoned), (b"abc", True))

    def test_too_little(self) -> None:
        """Less than was said, or than is here already, is broken off, however well it ended."""
        for skip, count in ((0, 4), (4, None)):
            self.told = Told()
            taking = self.take(skip, count)
            self.told.send(b"abc")
            self.told.finish()
            self.failureResultOf(taking, Unreachable)

    def test_waits(self) -> None:
        """It is paused until others have made room, and loses nothing."""
        taking = self.outrun()
        self.told.send(b"b")
        self.told.finish()
        self.assertNoResult(taking)
        self.thread.run_all()
        self.successResultOf(taking)
        self.assertFalse(self.told.paused)
        self.assertEqual(self.grown[-1], 2 * MIB + 1)
        self.assertIsNone(find(self.bench.store, Target("/", RPM)))

    def test_goes_on(self) -> None:
        """When there is room it goes on."""
        taking = self.outrun()
        self.thread.run_all()
        self.assertEqual((self.grown, self.told.paused), ([2 * MIB], False))
        self.told.send(b"b")
        self.told.finish()
        self.thread.run_all()
        self.successResultOf(taking)
        self.assertEqual(self.grown, [2 * MIB, 2 * MIB + 1])

    def test_no_room(self) -> None:
        """Only when there is no room, whoever goes, it ends."""
        taking = self.take()
        while not self.told.abandoned:
            self.told.send(bytes(MIB))
        self.failureResultOf(taking, CacheFull)
        self.assertIsNone(find(self.bench.store, Target("/", RPM)))

    def test_trouble_at_the_end(self) -> None:
        """What goes wrong after the last octet has come is not missed."""

        def full() -> None:
            raise OSError(errno.ENOSPC, "full")

        taking = self.outrun()
        self.told.finish()
        self.patch(self, "grew", full)
        self.thread.run_all()
        self.failureResultOf(taking, OSError)

    def test_cancelled(self) -> None:
        """One who is cancelled while it waits for room gets none, nor takes it from others."""
        taking = self.outrun()
        taking.cancel()
        self.failureResultOf(taking)
        self.thread.run_all()
        self.assertEqual((self.draft.written, self.told.abandoned), (0, True))

    def test_broken(self) -> None:
        """A body that breaks off while it waits for room is broken."""
        taking = self.outrun()
        self.told.fail(unreachable())
        self.failureResultOf(taking, type(unreachable()))
