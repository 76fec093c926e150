"""Tests of `osproxy.cache.growth`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.growth import Growth
from osproxy.model import BodyBroken, BodyDiverted
from tests.store.doubles import run

if TYPE_CHECKING:
    from osproxy.model import PassingBody

HELD_BACK = 4


def growth(length: int | None = None, written: int = 0, *, held_back: int = 0) -> Growth:
    """Have a file that has grown so far."""
    growth = Growth(held_back)
    growth.length = length
    growth.grew(written)
    return growth


async def onward(position: int, stop: int | None) -> PassingBody:
    """Stand for another way to the octets."""
    raise NotImplementedError


class AvailableTests(SynchronousTestCase):
    """What may be had."""

    def test_all_that_came(self) -> None:
        """Where nothing is held back it is what has come, whether or not the length is known."""
        for length in (None, 9):
            one = growth(length, 5)
            self.assertEqual((one.length, one.written, one.available), (length, 5, 5))

    def test_held_back(self) -> None:
        """The end is held back; where nobody knows where that is, what came last."""
        for length, written, available in (
            (10, 0, 0),
            (10, 5, 5),
            (10, 6, 6),
            (10, 7, 6),
            (10, 10, 6),
            (HELD_BACK, HELD_BACK, 0),
            (3, 3, 0),
            (None, 3, 0),
            (None, HELD_BACK, 0),
            (None, 10, 6),
        ):
            one = growth(length, written, held_back=HELD_BACK)
            self.assertEqual(one.available, available, (length, written))

    @given(st.lists(st.integers(0, 30)), st.none() | st.integers(30, 40))
    def test_never_taken_back(self, sizes: list[int], length: int | None) -> None:
        """What may be had once may be had for ever, even if the file begins anew."""
        one = growth(length, held_back=HELD_BACK)
        for size in sizes:
            before = one.available
            one.grew(size)
            self.assertEqual(one.written, size)
            self.assertGreaterEqual(one.available, before)

    def test_complete(self) -> None:
        """In the end nothing is held back, and the length is known."""
        one = growth(None, 10, held_back=HELD_BACK)
        self.assertFalse(one.whole)
        one.complete()
        self.assertEqual((one.length, one.available), (10, 10))

    def test_whole(self) -> None:
        """It is whole when all has come, though the end is not to be had yet."""
        for written, whole in ((9, False), (10, True)):
            self.assertEqual(growth(10, written, held_back=HELD_BACK).whole, whole)


class WaitingTests(SynchronousTestCase):
    """Those who want more."""

    def test_own_pace(self) -> None:
        """Each waits for its own octet, and for nothing that is there."""
        one = growth(None, 3)
        self.assertTrue(self.successResultOf(run(one.wait(2))))
        near, far = run(one.wait(3)), run(one.wait(5))
        one.grew(5)
        self.assertTrue(self.successResultOf(near))
        self.assertNoResult(far)
        one.grew(6)
        self.assertTrue(self.successResultOf(far))

    def test_leaving(self) -> None:
        """One who leaves disturbs nobody."""
        one = growth()
        leaving, staying = run(one.wait(0)), run(one.wait(0))
        leaving.cancel()
        self.failureResultOf(leaving, CancelledError)
        one.grew(1)
        self.assertTrue(self.successResultOf(staying))

    def test_held_back(self) -> None:
        """What is held back is waited for though it has come."""
        one = growth(10, 10, held_back=HELD_BACK)
        self.assertTrue(self.successResultOf(run(one.wait(5))))
        last = run(one.wait(6))
        self.assertNoResult(last)
        one.complete()
        self.assertTrue(self.successResultOf(last))

    def test_end(self) -> None:
        """Behind the end there is nothing to wait for, known before or found out."""
        self.assertFalse(self.successResultOf(run(growth(10, 3).wait(10))))
        one = growth(None, 3)
        behind = run(one.wait(3))
        self.assertNoResult(behind)
        one.complete()
        self.assertFalse(self.successResultOf(behind))

    def test_broken_off(self) -> None:
        """Who wants more than there is, or to hear that this is all, hears that it is not."""
        one = growth(4, 4, held_back=HELD_BACK)
        waiting = run(one.wait(0))
        one.break_off("it is wrong")
        later = (run(one.wait(position)) for position in (0, 4))
        for failed in (waiting, *later):
            error = self.failureResultOf(failed, BodyBroken).value
            self.assertEqual(str(error), "it is wrong")

    def test_broken_off_behind(self) -> None:
        """What was to be had before still is."""
        one = growth(10, 4)
        one.break_off("the upstream is gone")
        self.assertTrue(self.successResultOf(run(one.wait(3))))
        self.failureResultOf(run(one.wait(4)), BodyBroken)

    def test_diverted(self) -> None:
        """Who wants more is sent on; what there is, and the end, are as they were."""
        one = growth(10, 4)
        waiting = run(one.wait(4))
        one.divert(onward)
        for diverted in (waiting, run(one.wait(9))):
            error = self.failureResultOf(diverted, BodyDiverted).value
            self.assertIs(error.onward, onward)
        self.assertTrue(self.successResultOf(run(one.wait(3))))
        self.assertFalse(self.successResultOf(run(one.wait(10))))
