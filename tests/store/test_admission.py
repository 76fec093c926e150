"""Tests of `osproxy.store.admission`."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.model import Target
from osproxy.repo.kinds import Kind
from osproxy.store.admission import Admission, BadState, WonderGuard

A = Target("/", "/a.rpm")
_steps = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.booleans(), st.integers(0, 40)), max_size=80
)


def asked(guard: WonderGuard, now: float, target: Target = A, *, head: bool = False) -> bool:
    """Ask for a file."""
    return guard.asked_before(target, head=head, now=now)


class WonderGuardTests(SynchronousTestCase):
    """What was asked for lately."""

    def test_second_request(self) -> None:
        """The first request counts as none, the second as one, each target by itself."""
        guard = WonderGuard(60.0)
        self.assertFalse(asked(guard, 0.0))
        self.assertFalse(asked(guard, 1.0, Target("/", "/b.rpm")))
        self.assertFalse(asked(guard, 1.0, Target("/a.rpm", "/")))
        self.assertTrue(asked(guard, 60.0))

    def test_window(self) -> None:
        """A request counts for as long as the window is, from the last one on."""
        guard = WonderGuard(60.0)
        asked(guard, 0.0)
        self.assertTrue(asked(guard, 60.0))
        self.assertTrue(asked(guard, 120.0))
        self.assertFalse(asked(guard, 180.5))

    def test_head(self) -> None:
        """A HEAD is told what was, and does not count itself."""
        guard = WonderGuard(60.0)
        self.assertFalse(asked(guard, 0.0, head=True))
        self.assertFalse(asked(guard, 1.0))
        self.assertTrue(asked(guard, 60.0, head=True))
        self.assertFalse(asked(guard, 62.0))

    def test_bounded(self) -> None:
        """A scan of ever new names costs no more memory than there are places."""
        guard = WonderGuard(1e9, most=100)
        for number in range(10_000):
            asked(guard, float(number), Target("/", f"/{number}"))
        self.assertEqual(len(guard), 100)
        self.assertTrue(asked(guard, 1e4, Target("/", "/9999")))
        self.assertFalse(asked(guard, 1e4, Target("/", "/9000")))

    def test_aged(self) -> None:
        """What has had its time is forgotten, so that a quiet night costs nothing."""
        guard = WonderGuard(60.0)
        for number in range(100):
            asked(guard, 0.0, Target("/", f"/{number}"))
        asked(guard, 61.0)
        self.assertEqual(len(guard), 1)

    @given(_steps)
    def test_sequences(self, steps: list[tuple[str, bool, int]]) -> None:
        """A file was asked for if there is a GET for it within the window."""
        guard = WonderGuard(60.0)
        gets: dict[str, int] = {}
        now = 0
        for name, head, wait in steps:
            now += wait
            before = name in gets and now - gets[name] <= 60
            self.assertEqual(asked(guard, now, Target("/", name), head=head), before)
            if not head:
                gets[name] = now


class StateTests(SynchronousTestCase):
    """What outlives the process."""

    @given(_steps, st.integers(0, 100))
    def test_restart(self, steps: list[tuple[str, bool, int]], wait: int) -> None:
        """After a restart everything is as it would have been without."""
        guard = WonderGuard(60.0)
        now = 0
        for name, head, pause in steps:
            now += pause
            asked(guard, now, Target("/", name), head=head)
        other = WonderGuard(60.0)
        other.restore(guard.state())
        for name in "abcdef":
            target = Target("/", name)
            self.assertEqual(asked(guard, now + wait, target), asked(other, now + wait, target))

    def test_fewer_places(self) -> None:
        """Where there are fewer places than before, the latest stay."""
        guard = WonderGuard(60.0)
        for number in range(10):
            asked(guard, float(number), Target("/", f"/{number}"))
        other = WonderGuard(60.0, most=3)
        other.restore(guard.state())
        self.assertEqual(len(other), 3)
        self.assertTrue(asked(other, 9.0, Target("/", "/9")))
        self.assertFalse(asked(other, 9.0, Target("/", "/6"), head=True))

    def test_not_a_state(self) -> None:
        """What no guard has written is refused, and changes nothing."""
        guard = WonderGuard(60.0)
        asked(guard, 0.0)
        good = guard.state()
        nan = good + struct.pack("!Qd", 1, float("nan"))
        for state in (b"", b"x", good[:-1], good[1:], good + b"12345678", nan):
            self.assertRaises(BadState, guard.restore, state)
        self.assertEqual(guard.state(), good)

    @given(st.binary())
    def test_anything(self, rest: bytes) -> None:
        """Whatever is found on the disk is restored or refused."""
        guard = WonderGuard(60.0, most=5)
        empty = guard.state()
        try:
            guard.restore(empty + rest)
        except BadState:
            return
        self.assertEqual(len(rest) % 16, 0)
        self.assertLessEqual(len(guard), 5)


class AdmissionTests(SynchronousTestCase):
    """Which files are kept."""

    def test_off(self) -> None:
        """Without a guard for it, a file is kept at its first request, and none is remembered."""
        guard = WonderGuard(60.0)
        admission = Admission(guard)
        self.assertTrue(admission.admits(A, Kind.PACKAGE, head=False, now=0.0))
        self.assertEqual(len(guard), 0)

    def test_guarded(self) -> None:
        """Kinds are guarded for each backend apart."""
        admission = Admission(WonderGuard(60.0), {"/": {Kind.IMAGE}, "/x": {Kind.PACKAGE}})
        for backend, kind, kept in (
            ("/", Kind.IMAGE, False),
            ("/", Kind.PACKAGE, True),
            ("/x", Kind.IMAGE, True),
            ("/x", Kind.PACKAGE, False),
            ("/y", Kind.PACKAGE, True),
        ):
            target = Target(backend, f"/{kind.value}")
            for expected in (kept, True):
                self.assertEqual(admission.admits(target, kind, head=False, now=0.0), expected)
