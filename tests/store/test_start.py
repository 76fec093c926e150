"""Tests of starts and stops: what a start finds, what it sweeps away, what a stop leaves."""

from __future__ import annotations

from errno import EIO

from twisted.internet.defer import CancelledError

from osproxy.repo.kinds import Kind
from osproxy.store.layout import open_directory
from osproxy.store.ledger import CacheFull
from tests.store.doubles import (
    HEAD,
    Failing,
    StoreTestCase,
    WhenTold,
    at_once,
    draft_of,
    run,
    sha256,
    target,
)


class StopTests(StoreTestCase):
    """The end of a run."""

    def test_releases_the_lock(self) -> None:
        """After a stop the directory is free for the next."""
        store = self.started()
        self.successResultOf(run(store.stop()))
        open_directory(self.place.path).close()

    def test_catalogue_cannot_be_closed(self) -> None:
        """What the disk refuses in the end, as to move a damaged catalogue aside, is no bug."""
        store = self.started()
        self.place.in_database = Failing({"_end": OSError(EIO, "Input/output error")})
        self.successResultOf(run(store.stop()))
        value = self.place.metrics.registry.get_sample_value
        self.assertEqual(value("osproxy_disk_troubles_total", {"work": "catalogue"}), 1)
        open_directory(self.place.path).close()

    def test_waits_for_a_commit(self) -> None:
        """A commit under way at a stop is made."""
        store = self.started()
        draft = self.successResultOf(run(draft_of(store, "a", b"abc")))
        self.place.in_thread = self.place.in_database = threads = WhenTold()
        commit = run(store.commit([(draft, sha256(b"abc"))], 1.0))
        stopping = run(store.stop())
        self.assertNoResult(stopping)
        threads.run_all()
        self.successResultOf(commit)
        self.successResultOf(stopping)
        self.place.in_thread = self.place.in_database = at_once
        self.assertEqual(self.body_of(self.started(), "a"), b"abc")

    def test_gives_drafts_up(self) -> None:
        """Drafts that cannot be completed do not outlive a stop, and no new one is begun."""
        store = self.started()
        draft = self.successResultOf(run(draft_of(store, "a", b"abc")))
        self.assertTrue(self.place.descriptors())
        self.successResultOf(run(store.stop()))
        self.assertEqual(self.place.descriptors(), [])
        self.assertEqual(self.place.files(), {})
        draft.discard()
        begun = run(store.begin(target("a"), HEAD, 9, kind=Kind.PACKAGE))
        self.failureResultOf(begun, CacheFull)

    def test_readers_outlive_it(self) -> None:
        """A reader that is still there reads on; what it held is swept at the next start."""
        store = self.started()
        self.put(store, "a", b"abc")
        entry = self.entry_of(store)
        lease = self.successResultOf(run(entry.open()))
        store.doom(entry)
        self.successResultOf(run(store.stop()))
        self.assertEqual(self.read(lease), b"abc")
        lease.close()
        self.assertRaises(ValueError, lease.fileno)
        self.started()
        self.assertEqual(self.place.files(), {})

    def test_while_starting(self) -> None:
        """A stop that comes while the store starts waits for that, and nothing begins after it."""
        for turns in range(3):
            self.place.in_thread = self.place.in_database = threads = WhenTold()
            store = self.place.store()
            starting = run(store.start())
            threads.run(min(turns, len(threads.waiting)))
            stopping = run(store.stop())
            threads.run_all()
            self.successResultOf(starting)
            self.successResultOf(stopping)
            self.assertEqual(self.place.clock.getDelayedCalls(), [])
            self.assertEqual(self.place.descriptors(), [])

    def test_waits_for_a_cancelled_begin(self) -> None:
        """A begin that was cancelled is tidied up before the stop is done."""
        store = self.started()
        self.place.in_thread = threads = WhenTold()
        begun = run(store.begin(target("a"), HEAD, 9, kind=Kind.PACKAGE))
        begun.cancel()
        self.failureResultOf(begun, CancelledError)
        stopping = run(store.stop())
        self.assertNoResult(stopping)
        threads.run_all()
        self.successResultOf(stopping)
        self.assertEqual(self.place.files(), {})
