"""Tests of `osproxy.store.arrivals`."""

from __future__ import annotations

from osproxy.repo.kinds import Kind
from tests.store.doubles import StoreTestCase, WhenTold, find, run, target


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
        gone = find(store, target("a"))
        assert gone is not None
        store.doom(gone)
        store.doom_all(target("b"))
        threads.run_all()
        found = [find(store, target(name)) for name in "abc"]
        self.assertEqual([entry is not None for entry in found], [False, False, True])
        self.assertEqual({entry.kind for entry in found if entry}, {Kind.PACKAGE})
