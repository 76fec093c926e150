"""Tests of `osproxy.store.admission`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.model import Target
from osproxy.store.admission import WonderGuard

A = Target("/", "/a.rpm")
_steps = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 40), st.booleans()), max_size=80
)


class WonderGuardTests(SynchronousTestCase):
    """What was asked for lately."""

    def test_second_request(self) -> None:
        """The first request counts as none, the second as one, each target by itself."""
        guard = WonderGuard(60.0)
        self.assertFalse(guard.asked_before(A, 0.0))
        self.assertFalse(guard.asked_before(Target("/", "/b.rpm"), 1.0))
        self.assertFalse(guard.asked_before(Target("/a.rpm", "/"), 1.0))
        self.assertTrue(guard.asked_before(A, 60.0))

    def test_window(self) -> None:
        """A request counts for as long as the window is, from the last one on."""
        guard = WonderGuard(60.0)
        guard.asked_before(A, 0.0)
        self.assertTrue(guard.asked_before(A, 60.0))
        self.assertTrue(guard.asked_before(A, 120.0))
        self.assertFalse(guard.asked_before(A, 180.5))

    def test_bounded(self) -> None:
        """A scan of ever new names costs no more memory than there are places."""
        guard = WonderGuard(1e9, most=100)
        for number in range(10_000):
            guard.asked_before(Target("/", f"/{number}"), float(number))
        self.assertEqual((len(guard), len(guard.unwritten())), (100, 100))
        self.assertTrue(guard.asked_before(Target("/", "/9999"), 1e4))
        self.assertFalse(guard.asked_before(Target("/", "/9000"), 1e4))

    def test_aged(self) -> None:
        """What has had its time is forgotten, so that a quiet night costs nothing."""
        guard = WonderGuard(60.0)
        for number in range(100):
            guard.asked_before(Target("/", f"/{number}"), 0.0)
        self.assertEqual(guard.horizon(60.0), 0.0)
        guard.asked_before(A, 61.0)
        self.assertEqual((len(guard), guard.horizon(61.0)), (1, 61.0))

    @given(_steps, st.integers(0, 100))
    def test_sequences(self, steps: list[tuple[str, int, bool]], wait: int) -> None:
        """
        A file was asked for if it was within the window, after a restart as before it, whatever
        could be written in between.
        """
        guard = WonderGuard(60.0)
        written: dict[int, float] = {}
        asked: dict[str, int] = {}

        def write() -> None:
            written.update(guard.unwritten())
            horizon = guard.horizon(now)
            for key in [key for key, at in written.items() if at < horizon]:
                del written[key]

        now = 0
        for name, pause, can_be_written in steps:
            now += pause
            before = name in asked and now - asked[name] <= 60
            self.assertEqual(guard.asked_before(Target("/", name), now), before)
            asked[name] = now
            if can_be_written:
                write()
            else:
                guard.put_back(guard.unwritten())
        write()
        self.assertEqual(len(written), len(guard))
        other = WonderGuard(60.0)
        other.restore(reversed(list(written.items())))
        for name in "abcdef":
            target = Target("/", name)
            self.assertEqual(
                other.asked_before(target, now + wait), guard.asked_before(target, now + wait)
            )

    def test_fewer_places(self) -> None:
        """Where there are fewer places than before, the latest stay."""
        guard = WonderGuard(60.0)
        for number in range(10):
            guard.asked_before(Target("/", f"/{number}"), float(number))
        other = WonderGuard(60.0, most=3)
        other.restore(guard.unwritten().items())
        self.assertEqual(len(other), 3)
        self.assertTrue(other.asked_before(Target("/", "/9"), 9.0))
        self.assertFalse(other.asked_before(Target("/", "/6"), 9.0))
