"""Tests of `osproxy.store.arrivals`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.repo.kinds import Kind
from osproxy.store.arrivals import Arrivals
from tests.store.doubles import StoreTestCase, WhenTold, find, run, target
from tests.store.test_catalogue import record


class ArrivalsTests(SynchronousTestCase):
    """Tests of `Arrivals`."""

    def remember(self, arrivals: Arrivals) -> tuple[bool, ...]:
        """Have everything happen, and tell what is remembered of it."""
        arrivals.go(1)
        arrivals.look_up(2)
        arrivals.forget(3)
        for number in (4, 5, 4):
            arrivals.use(number)
        return (
            arrivals.awaited(1),
            arrivals.awaited(6),
            arrivals.may_come(9),
            arrivals.may_come(10),
            arrivals.listed(2),
            arrivals.listed(6),
            arrivals.forgotten(3),
            arrivals.forgotten(6),
        )

    def test_meanwhile(self) -> None:
        """All is remembered until everything is listed, and nothing afterwards."""
        arrivals = Arrivals(10)
        self.assertEqual(
            self.remember(arrivals), (False, True, True, False, True, False, True, False)
        )
        self.assertEqual((arrivals.over, arrivals.end(), arrivals.over), (False, [5, 4], True))
        self.assertEqual(
            self.remember(arrivals), (False, False, False, False, True, True, False, False)
        )
        self.assertEqual(arrivals.end(), [])

    def test_outdated(self) -> None:
        """What was stored anew outdates what an earlier run has, and nothing of this run."""
        arrivals = Arrivals(10)
        self.assertFalse(arrivals.outdated(record(9)))
        arrivals.replace(target("a"))
        for number, name, outdated in ((9, "a", True), (10, "a", False), (9, "b", False)):
            self.assertEqual(arrivals.outdated(record(number, name)), outdated, (number, name))


class ArrivalTests(StoreTestCase):
    """What is done before an entry is listed holds when it is."""

    def test_what_is_done_meanwhile(self) -> None:
        """What goes, or is forgotten, before the list comes to it does not come back."""
        store = self.started()
        for name in "abc":
            self.put(store, name)
        self.successResultOf(run(store.stop()))
        self.place.in_thread = threads = WhenTold()
        store = self.place.store()
        starting = run(store.start())
        while not starting.called:
            threads.run()
        self.successResultOf(starting)
        gone = self.entry_of(store)
        store.doom(gone)
        store.doom_all(target("b"))
        threads.run_all()
        found = [find(store, target(name)) for name in "abc"]
        self.assertEqual([entry is not None for entry in found], [False, False, True])
        self.assertEqual({entry.kind for entry in found if entry}, {Kind.PACKAGE})
