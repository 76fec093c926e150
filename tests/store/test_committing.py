"""Tests of commits and removals: whole or not at all, whatever comes between."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError

from osproxy.store.syncing import Disk
from tests.store.doubles import (
    Failing,
    Place,
    StoreTestCase,
    WhenTold,
    at_once,
    draft_of,
    find,
    run,
    sha256,
    target,
)

if TYPE_CHECKING:
    from pathlib import Path

    from osproxy.store.drafts import Draft
    from osproxy.store.store import Store

STEPS = [
    f"{when}-{step}"
    for step in ("header", "rename", "catalogue", "visible")
    for when in ("before", "after")
]


class CommitTests(StoreTestCase):
    """Drafts become entries together."""

    def drafts(self, store: Store, **bodies: bytes) -> list[tuple[Draft, str]]:
        """Write drafts."""
        return [
            (self.successResultOf(run(draft_of(store, name, body))), sha256(body))
            for name, body in bodies.items()
        ]

    def test_hands_over_in_one_turn(self) -> None:
        """F2: of a set that is replaced, nobody sees a part."""
        store = self.started()
        self.successResultOf(run(store.commit(self.drafts(store, a=b"a1", b=b"b1"), 1.0)))
        self.place.in_thread = self.place.in_database = threads = WhenTold()
        drafting = [run(draft_of(store, name, name.encode() + b"2")) for name in ("a", "b")]
        threads.run_all()
        drafts = [(self.successResultOf(each), "0" * 64) for each in drafting]
        commit = run(store.commit(drafts, 2.0))
        while threads.waiting:
            seen = {
                e.checked_at for e in (find(store, target(name)) for name in "ab") if e is not None
            }
            self.assertEqual(len(seen), 1, "both of one set")
            threads.run()
        self.successResultOf(commit)
        self.place.in_thread = self.place.in_database = at_once
        self.assertEqual((self.body_of(store, "a"), self.body_of(store, "b")), (b"a2", b"b2"))
        self.assertEqual(len(self.place.files()), 2)
        self.assert_agrees()

    def test_replaced_stays_for_its_readers(self) -> None:
        """B5: who reads the old body reads it to its end."""
        store = self.started()
        self.put(store, "a", b"old")
        entry = self.entry_of(store)
        lease = self.successResultOf(run(entry.open()))
        self.put(store, "a", b"new")
        self.assertEqual(self.body_of(store, "a"), b"new")
        self.assertEqual(self.read(lease), b"old")
        lease.close()
        self.assertEqual(len(self.place.files()), 1)
        self.assert_agrees()

    def test_two_of_one_target(self) -> None:
        """Of two commits under way for one target, the later one stays, with one row and file."""
        store = self.started()
        first = self.drafts(store, a=b"first")
        second = self.drafts(store, a=b"second")
        self.place.in_thread = self.place.in_database = threads = WhenTold()
        commits = [run(store.commit(first, 1.0)), run(store.commit(second, 1.0))]
        threads.run_all()
        for commit in commits:
            self.successResultOf(commit)
        self.place.in_thread = self.place.in_database = at_once
        self.assertEqual(self.body_of(store, "a"), b"second")
        self.place.kill()
        store = self.started()
        self.assertEqual(self.body_of(store, "a"), b"second")
        self.assertEqual(len(self.place.files()), 1)
        self.assert_agrees()

    def test_failures_discard_all(self) -> None:
        """When the header, the rename or the catalogue fails, the old set stays, all of it."""
        for where, trouble in (
            ("publish", OSError(28, "no space left on device")),
            ("_swap", sqlite3.OperationalError("database or disk is full")),
        ):
            store = self.started()
            self.put(store, "a", b"old")
            drafts = self.drafts(store, a=b"new", b=b"new")
            self.place.in_thread = failing = Failing({where: trouble})
            self.place.in_database = failing
            self.failureResultOf(run(store.commit(drafts, 1.0)), type(trouble))
            failing.trouble.clear()
            self.assertEqual(self.body_of(store, "a"), b"old")
            self.assertIsNone(find(store, target("b")))
            self.assertEqual(len(self.place.files()), 1)
            self.assert_agrees()
            self.successResultOf(run(store.stop()))
        self.flushLoggedErrors(sqlite3.OperationalError)

    def test_failing_after_the_transaction(self) -> None:
        """B3: when a commit fails at the last moment, no row is left without its file."""
        store = self.started()
        drafts = self.drafts(store, a=b"new")

        def reached(step: str) -> None:
            if step == "before-visible":
                raise RuntimeError(step)

        self.place.checkpoint = reached
        self.failureResultOf(run(store.commit(drafts, 1.0)), RuntimeError)
        rows = self.place.catalogue._database.execute("SELECT * FROM entries").fetchall()
        self.assertEqual((rows, self.place.files()), ([], {}))
        self.assert_agrees()

    def test_rename_failing(self) -> None:
        """A draft that cannot be put among the entries is discarded."""
        store = self.started()
        drafts = self.drafts(store, a=b"new", b=b"new")
        drafts[1][0].blob.path.unlink()
        self.failureResultOf(run(store.commit(drafts, 1.0)), FileNotFoundError)
        self.assertEqual(self.place.files(), {})
        self.assert_agrees()

    def test_folder_cannot_be_synced(self) -> None:
        """What was renamed before something went wrong does not stay where nobody counts it."""

        class Broken(Disk):
            def folder(self, path: Path) -> None:
                """See `osproxy.store.syncing.Syncing`."""
                if "entries" in path.parts:
                    raise OSError(errno.EIO, "no")

        self.place.durable, self.place.syncing = True, Broken()
        store = self.started()
        draft = self.successResultOf(run(draft_of(store, "a", b"octets")))
        self.failureResultOf(run(store.commit([(draft, sha256(b"octets"))], 5.0)), OSError)
        self.assertEqual(self.place.files(), {})
        self.assert_agrees()

    def test_discarded_is_not_committed(self) -> None:
        """A set of which one draft was given up is not committed, and leaves nothing."""
        store = self.started()
        drafts = self.drafts(store, a=b"1", b=b"2")
        drafts[1][0].discard()
        self.failureResultOf(run(store.commit(drafts, 1.0)), ValueError)
        self.assertIsNone(find(store, target("a")))
        self.assertEqual(self.place.files(), {})

    def test_committed_once(self) -> None:
        """What is committed stays when it is, by mistake, committed again."""
        store = self.started()
        drafts = self.drafts(store, a=b"1")
        self.successResultOf(run(store.commit(drafts, 1.0)))
        self.failureResultOf(run(store.commit(drafts, 1.0)), ValueError)
        self.assertEqual(self.body_of(store, "a"), b"1")

    def test_cancelled_commit_goes_on(self) -> None:
        """A commit that nobody waits for any more is made all the same."""
        store = self.started()
        drafts = self.drafts(store, a=b"1")
        self.place.in_thread = self.place.in_database = threads = WhenTold()
        commit = run(store.commit(drafts, 1.0))
        commit.cancel()
        self.failureResultOf(commit, CancelledError)
        drafts[0][0].discard()
        threads.run_all()
        self.place.in_thread = self.place.in_database = at_once
        self.assertEqual(self.body_of(store, "a"), b"1")

    def test_cancelled_commit_that_fails(self) -> None:
        """A commit that fails when nobody waits for it is logged and discarded."""
        store = self.started()
        drafts = self.drafts(store, a=b"1")
        drafts[0][0].blob.path.unlink()
        self.place.in_thread = threads = WhenTold()
        commit = run(store.commit(drafts, 1.0))
        commit.cancel()
        self.failureResultOf(commit, CancelledError)
        threads.run_all()
        self.assertEqual(len(self.flushLoggedErrors(FileNotFoundError)), 1)
        self.assert_agrees()

    def test_killed_at_each_step(self) -> None:
        """B3: killed at any step of a commit, the next start has the old body or the new one."""
        store = self.started()
        self.put(store, "a", b"old" * 5000)
        drafts = self.drafts(store, a=b"new" * 7000)
        seen: list[str] = []

        def reached(step: str) -> None:
            seen.append(step)
            # What a kill leaves is what lies on the disk at that instant.
            shutil.copytree(self.place.path, self.place.path.with_name(step))

        self.place.checkpoint = reached
        self.successResultOf(run(store.commit(drafts, 1.0)))
        self.assertEqual(seen, STEPS)
        for step in STEPS:
            self.place = Place(self.place.path.with_name(step))
            store = self.started()
            late = STEPS.index(step) >= STEPS.index("after-catalogue")
            kept = b"new" * 7000 if late else b"old" * 5000
            self.assertEqual(self.body_of(store, "a"), kept, step)
            self.assertEqual(len(self.place.files()), 1, step)
            self.assert_agrees()

    def test_commit_while_evicting(self) -> None:
        """An entry that is evicted while its successor is committed goes once."""
        store = self.started()
        self.put(store, "a", b"old" * 5000)
        entry = self.entry_of(store)
        draft = self.successResultOf(run(draft_of(store, "a", b"new")))
        self.place.in_thread = self.place.in_database = threads = WhenTold()
        commit = run(store.commit([(draft, sha256(b"new"))], 1.0))
        threads.run()
        store.doom(entry)
        self.assertIsNone(find(store, target("a")))
        threads.run_all()
        self.successResultOf(commit)
        self.place.in_thread = self.place.in_database = at_once
        self.assertEqual(self.body_of(store, "a"), b"new")
        self.assert_agrees()
