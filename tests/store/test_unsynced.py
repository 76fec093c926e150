"""
Tests of `osproxy.store.unsynced`: what a power loss takes, and what it does not.
"""

from __future__ import annotations

import errno
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from osproxy.store.alteration import digest_of, mark
from tests.store.doubles import (
    Failing,
    Place,
    StoreTestCase,
    WhenTold,
    at_once,
    body_named,
    find,
    run,
    said_by,
    sha256,
    target,
)
from tests.store.power import Machine, worst, zeros

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from osproxy.store.store import Store

_P = ParamSpec("_P")
_T = TypeVar("_T")

_NAMES = ("a", "b", "c")
_SIZES = (0, 100, 5000, 70_000)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(_NAMES), st.sampled_from(_SIZES)),
        st.tuples(st.just("doom"), st.sampled_from(_NAMES), st.just(0)),
        st.tuples(st.just("minute"), st.just(""), st.just(0)),
    ),
    max_size=12,
)


class PowerCase(StoreTestCase):
    """A machine whose power fails."""

    def minute(self, place: Place) -> None:
        """Let a minute pass."""
        for _ in range(12):
            place.clock.advance(5)

    def start(self, place: Place) -> Store:
        """Start a store there."""
        store = place.store()
        self.successResultOf(run(store.start()))
        return store


class PowerLossTests(PowerCase):
    """Whatever is lost, nothing wrong is served; with ``full`` nothing is lost."""

    @settings(max_examples=60)
    @given(steps=_STEPS, data=st.data(), durable=st.booleans())
    def test_any_loss(
        self, steps: list[tuple[str, str, int]], data: st.DataObject, durable: bool
    ) -> None:
        """After any steps and any loss, what is served is what was stored."""
        with TemporaryDirectory() as folder:
            machine = Machine(Path(folder) / "cache", durable)
            store = self.start(machine.place)
            expected: dict[str, bytes] = {}
            for number, (step, name, size) in enumerate(steps):
                if step == "put":
                    expected[name] = bytes([number + 1]) * size
                    self.put(store, name, expected[name])
                elif step == "minute":
                    self.minute(machine.place)
                elif (entry := find(store, target(name))) is not None:
                    store.doom(entry)
                    del expected[name]
            place = machine.fail(lambda count: data.draw(st.integers(0, count - 1)))
            store = self.start(place)
            served = self.served(store)
            if durable:
                self.assertEqual(served, expected)
            self.successResultOf(run(store.stop()))

    def served(self, store: Store) -> dict[str, bytes]:
        """Read all that can be read, twice; all of it is what it was when it was stored."""
        served: dict[str, bytes] = {}
        for name in _NAMES * 2:
            entry = find(store, target(name))
            if entry is None:
                served.pop(name, None)
                continue
            opening = run(entry.open())
            opening.addErrback(lambda failure: failure.trap(OSError) and None)
            lease = self.successResultOf(opening)
            if lease is None:
                self.assertIsNone(find(store, target(name)))
                continue
            served[name] = self.read(lease)
            lease.close()
            self.assertEqual(sha256(served[name]), entry.digest)
        return served

    def test_synced_within_a_minute(self) -> None:
        """With ``fast``, what is a minute old outlives the worst, and needs no verification."""
        machine = Machine(self.place.path, durable=False)
        store = self.start(machine.place)
        self.put(store, "a", b"a" * 5000)
        self.minute(machine.place)
        place = machine.fail(worst, lost=0)
        store = self.start(place)
        place.in_thread = Failing({"digest_of": OSError(errno.EIO, "not to be read")})
        self.assertEqual(self.body_of(store, "a"), b"a" * 5000)

    def test_zeros(self) -> None:
        """A file that has its name and its length and no content is not served."""
        machine = Machine(self.place.path, durable=False)
        store = self.start(machine.place)
        self.put(store, "a", b"a" * 5000)
        self.put(store, "b", b"")
        store = self.start(machine.fail(zeros, lost=0))
        self.assertEqual(self.served(store), {"b": b""})

    def test_worst(self) -> None:
        """With ``fast``, what is not may be lost, and with ``full`` nothing is."""
        for durable in (False, True):
            machine = Machine(Path(self.mktemp()) / "cache", durable)
            store = self.start(machine.place)
            self.put(store, "a", b"a" * 5000)
            store = self.start(machine.fail(worst))
            self.assertEqual(find(store, target("a")) is not None, durable)


class VerificationTests(PowerCase):
    """With ``fast``, what another boot has left is verified before it is served."""

    def setUp(self) -> None:
        """Have an entry that was not synced, on a machine that was booted anew."""
        super().setUp()
        self.store = self.started()
        self.put(self.store, "a", b"a" * 5000)
        self.place.kill()
        # The first store does not go on beside those of the next boot.
        self.place.clock = Clock()
        self.place.boot = "the next boot"
        self.said = said_by(self)

    def read_times(self, store: Store) -> int:
        """Open the entry, and count how often it is read as a whole."""
        done: list[object] = []

        def counting(
            function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
        ) -> Deferred[_T]:
            done.append(function)
            return at_once(function, *args, **kwargs)

        self.place.in_thread = counting
        self.successResultOf(run(self.entry_of(store, "a").open())).close()
        return done.count(digest_of)

    def test_right(self) -> None:
        """What is right is read once, and served from then on."""
        store = self.started()
        self.assertEqual([self.read_times(store) for _ in range(3)], [1, 0, 0])
        self.assertEqual(self.said(), [])

    def test_same_boot(self) -> None:
        """What has only lost its process is not read."""
        self.place.boot = "this boot"
        self.assertEqual(self.read_times(self.started()), 0)

    def test_unknown_boot(self) -> None:
        """Where boots cannot be told apart it is read."""
        self.place.boot = ""
        store = self.started()
        self.put(store, "b")
        self.place.kill()
        self.assertEqual(self.read_times(self.started()), 1)

    def test_verified_is_synced(self) -> None:
        """What was verified is synced, and not read after the next boot."""
        store = self.started()
        self.read_times(store)
        self.minute(self.place)
        self.place.kill()
        self.place.boot = "one more boot"
        self.assertEqual(self.read_times(self.started()), 0)

    def test_wrong(self) -> None:
        """What is wrong is not served, said in a line, and gone."""
        store = self.started()
        entry = self.entry_of(store, "a")
        with entry.blob.path.open("r+b") as file:
            file.seek(entry.offset + 4000)
            file.write(bytes(100))
            file.flush()
            # Nobody wrote to it: the disk has lost what was written.
            mark(file.fileno())
        self.failureResultOf(run(entry.open()), OSError)
        self.assertIsNone(find(store, target("a")))
        (line,) = self.said()
        self.assertIn("power loss", line)
        self.assertEqual(self.place.files(), {})
        self.assert_agrees()
        self.put(store, "a")
        self.assertEqual(self.body_of(store, "a"), body_named("a"))

    def test_together(self) -> None:
        """Those who come at once wait for one reading, and one that leaves disturbs nobody."""
        store = self.started()
        self.place.in_thread = threads = WhenTold()
        entry = self.entry_of(store, "a")
        first, second, third = (run(entry.open()) for _ in range(3))
        threads.run()
        self.assertEqual(len(threads.waiting), 1)
        first.cancel()
        self.failureResultOf(first)
        threads.run_all()
        for opening in (second, third):
            lease = self.successResultOf(opening)
            self.assertEqual(self.read(lease), b"a" * 5000)
            lease.close()
        self.assertEqual(self.place.open_files(), [])

    def test_all_leave(self) -> None:
        """When all leave, the reading ends, and the file is closed."""
        store = self.started()
        self.place.in_thread = threads = WhenTold()
        opening = run(self.entry_of(store, "a").open())
        threads.run()
        opening.cancel()
        self.failureResultOf(opening)
        threads.run_all()
        self.assertEqual(self.place.open_files(), [])

    def test_doomed_meanwhile(self) -> None:
        """An entry that goes while it is read is gone afterwards."""
        store = self.started()
        self.place.in_thread = threads = WhenTold()
        entry = self.entry_of(store, "a")
        opening = run(entry.open())
        threads.run()
        store.doom(entry)
        threads.run_all()
        lease = self.successResultOf(opening)
        self.assertEqual(self.read(lease), b"a" * 5000)
        lease.close()
        threads.run_all()
        self.assertEqual(self.place.files(), {})

    def test_cannot_be_read(self) -> None:
        """What cannot be read is not served either."""
        store = self.started()
        self.place.in_thread = Failing({"digest_of": OSError(errno.EIO, "broken")})
        self.failureResultOf(run(self.entry_of(store, "a").open()), OSError)
        self.assertIsNone(find(store, target("a")))

    def test_changed_while_it_is_synced(self) -> None:
        """What has come by a further link while it was synced is synced once more."""
        self.place.boot = "this boot"
        store = self.started()
        unsynced = store._unsynced
        number = self.entry_of(store, "a").id
        unsynced.committed([number])
        self.place.in_thread = threads = WhenTold()
        writing = run(unsynced.write_out())
        unsynced.committed([number])
        threads.run_all()
        self.successResultOf(writing)
        again = run(unsynced.write_out())
        self.assertTrue(threads.waiting)
        threads.run_all()
        self.successResultOf(again)
        self.successResultOf(run(unsynced.write_out()))

    def test_sync_refused(self) -> None:
        """What could not be synced is synced the next time."""
        self.place.boot = "this boot"
        self.started()
        self.place.in_thread = failing = Failing({"_sync_all": OSError(errno.EIO, "broken")})
        self.minute(self.place)
        (line,) = self.said()
        self.assertIn("cannot be synced: [Errno 5] broken", line)
        failing.trouble.clear()
        self.minute(self.place)
        self.place.kill()
        self.place.boot = "the next boot"
        self.assertEqual(self.read_times(self.started()), 0)
