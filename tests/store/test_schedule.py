"""Tests of `osproxy.store.schedule`."""

from __future__ import annotations

import math
from itertools import accumulate

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.schedule import Candidate, Schedule, pause

DAY = 86_400.0
SCHEDULE = Schedule(30 * DAY, 10_000_000)

candidates = st.lists(
    st.builds(Candidate, st.integers(1), st.integers(4096, 10**9), st.floats(0, 90 * DAY)),
    max_size=20,
)


def verified(*times: float) -> list[Candidate]:
    """Describe entries that were verified at these times."""
    return [Candidate(number, 4096, at) for number, at in enumerate(times)]


class DueTests(SynchronousTestCase):
    """What is verified next."""

    def test_table(self) -> None:
        """An entry is due once the interval has passed, or seems to lie ahead."""
        for since, due in ((0.0, False), (29 * DAY, False), (30 * DAY, True), (-1.0, True)):
            chosen = SCHEDULE.due(verified(100 * DAY - since), 100 * DAY)
            self.assertEqual(bool(chosen), due, since)

    @given(candidates, st.floats(0, 90 * DAY))
    def test_order(self, found: list[Candidate], now: float) -> None:
        """Those that are due keep their order; the others are within the interval."""
        due = SCHEDULE.due(found, now)
        self.assertEqual(due, [one for one in found if one in due])
        for one in found:
            if one not in due:
                self.assertTrue(0 <= now - one.verified_at < SCHEDULE.interval)


class RestTests(SynchronousTestCase):
    """For how long nothing is looked for."""

    def test_table(self) -> None:
        """Until the first is due, but for a minute at least and for an hour at most."""
        for since, rest in ((0.0, 3600.0), (30 * DAY - 600, 600.0), (30 * DAY - 5, 60.0)):
            found = verified(50 * DAY - since, 50 * DAY)
            self.assertEqual(SCHEDULE.rest(found, 50 * DAY), rest)
        self.assertEqual(SCHEDULE.rest([], 0.0), 3600.0)

    def test_short_interval(self) -> None:
        """Where the interval is shorter than that, it is not slept over."""
        for found in ([], verified(99.0)):
            self.assertEqual(Schedule(3.0, 1).rest(found, 100.0), 3.0)

    @given(candidates, st.floats(0, 90 * DAY))
    def test_in_time(self, found: list[Candidate], now: float) -> None:
        """After a rest nothing is due for more than a minute."""
        waiting = [one for one in found if one not in SCHEDULE.due(found, now)]
        after = now + SCHEDULE.rest(waiting, now)
        for one in waiting:
            self.assertLess(after - one.verified_at, SCHEDULE.interval + 60.001)


class PauseTests(SynchronousTestCase):
    """At what pace it is read."""

    def test_table(self) -> None:
        """What reading took counts, and a clock that is set does not."""
        for octets, took, expected in (
            (10_000_000, 0.0, 1.0),
            (10_000_000, 0.25, 0.75),
            (10_000_000, 2.0, 0.0),
            (10_000_000, -3600.0, 1.0),
            (0, 0.0, 0.0),
        ):
            self.assertEqual(pause(octets, took, 10_000_000), expected)
        self.assertEqual(pause(10**12, 0.0, None), 0.0)

    @given(
        st.lists(st.tuples(st.integers(1, 1 << 20), st.floats(0, 2)), min_size=1),
        st.integers(1, 10**9),
    )
    def test_rate(self, bites: list[tuple[int, float]], rate: int) -> None:
        """From any bite on, no more is read than the rate allows, and a disk is not waited for."""
        turns = [took + pause(octets, took, rate) for octets, took in bites]
        for octets, turn in zip(accumulate(o for o, _ in bites), accumulate(turns), strict=True):
            self.assertLessEqual(octets, rate * turn * (1 + 1e-9))
        for (octets, took), turn in zip(bites, turns, strict=True):
            self.assertTrue(math.isclose(turn, max(took, octets / rate)))


class CourseTests(SynchronousTestCase):
    """Schedule and pace together, over months."""

    @given(
        st.lists(
            st.tuples(st.integers(4096, 10**9), st.floats(0, 40 * DAY)), min_size=1, max_size=8
        )
    )
    def test_once_an_interval(self, stored: list[tuple[int, float]]) -> None:
        """Each is verified once an interval, never before, and hardly later."""
        now = 40 * DAY
        shelf = [Candidate(number, size, at) for number, (size, at) in enumerate(stored)]
        # What it takes to read all of it, and the longest time that nobody looks.
        slack = sum(one.size for one in shelf) / SCHEDULE.rate + 3600.0
        began, first = now, {one.id for one in shelf}
        while now < began + 65 * DAY:
            shelf.sort(key=lambda one: one.verified_at)
            due = SCHEDULE.due(shelf, now)
            for one in due:
                now += pause(one.size, 0.0, SCHEDULE.rate)
                gap = now - one.verified_at
                self.assertGreaterEqual(gap, SCHEDULE.interval)
                if one.id not in first:
                    self.assertLessEqual(gap, SCHEDULE.interval + slack)
                first.discard(one.id)
                shelf[shelf.index(one)] = evolve(one, verified_at=now)
            if not due:
                now += SCHEDULE.rest(shelf, now)
        self.assertEqual(first, set())
