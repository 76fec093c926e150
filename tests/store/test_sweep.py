"""Tests of `osproxy.store.sweep`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from tests.store.doubles import (
    MIB,
    StoreTestCase,
    WhenTold,
    at_once,
    body_named,
    draft_of,
    find,
    part_of,
    run,
    sha256,
    target,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from osproxy.store.store import Store

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SweepTests(StoreTestCase):
    """B3: after a start no file lies there that is not an entry, and no entry without a file."""

    def path_of(self, store: Store, name: str) -> Path:
        """Where an entry lies."""
        entry = self.entry_of(store, name)
        return entry.blob.path

    def test_leftovers(self) -> None:
        """Drafts, files without a row, rows without a file or with another size all go."""
        store = self.started()
        for name in ("kept", "lost", "cut", "orphan"):
            self.put(store, name)
        self.successResultOf(run(draft_of(store, "draft", b"d" * 9)))
        orphan = self.path_of(store, "orphan")
        kept = orphan.read_bytes()
        self.path_of(store, "lost").unlink()
        os.truncate(self.path_of(store, "cut"), 17)
        entry = self.entry_of(store, "orphan")
        store.doom(entry)
        orphan.write_bytes(kept)
        self.place.kill()
        store = self.started()
        self.assertEqual(self.body_of(store, "kept"), body_named("kept"))
        self.assertEqual(len(self.place.files()), 1)
        self.assertIsNone(find(store, target("lost")))
        self.assertIsNone(find(store, target("cut")))
        self.assert_agrees()

    def test_unreadable_drafts(self) -> None:
        """A draft whose header is cut or damaged goes, and costs no other anything."""
        store = self.started()
        paths = []
        for name in ("good", "cut", "damaged"):
            draft = self.successResultOf(run(part_of(store, name, bytes(MIB), 2 * MIB)))
            paths.append(draft.blob.path)
        os.truncate(paths[1], 99)
        paths[2].write_bytes(b"x" * 2 * MIB)
        self.place.kill()
        store = self.started()
        self.assertEqual([path.exists() for path in paths], [True, False, False])
        self.assertIsNotNone(store.kept.find(target("good")))
        self.assert_agrees()

    def test_stop_while_drafts_are_read(self) -> None:
        """A stop leaves the drafts that it has not come to for the next start."""
        store = self.started()
        self.successResultOf(run(part_of(store, "a", bytes(MIB), 2 * MIB)))
        self.place.kill()
        for turns in range(3):
            self.place.in_thread = threads = WhenTold()
            store = self.place.store()
            starting = run(store.start())
            threads.run(1 + turns)
            self.successResultOf(starting)
            stopping = run(store.stop())
            threads.run_all()
            self.successResultOf(stopping)
            self.assertEqual(len(self.place.files()), 1)
        self.place.in_thread = at_once
        self.assertEqual(len(self.started().kept), 1)

    def test_does_not_delay_the_start(self) -> None:
        """A start is done before the sweep has looked at a single file, and serves meanwhile."""
        store = self.started()
        self.put(store, "a")
        self.successResultOf(run(draft_of(store, "draft", b"d" * 9)))
        self.place.kill()
        self.place.in_thread = threads = WhenTold()
        store = self.place.store()
        starting = run(store.start())
        # One look at the disk's free space.
        threads.run()
        self.successResultOf(starting)
        self.assertEqual(len(self.place.files()), 2)
        # What is new meanwhile is not swept.
        begun = run(draft_of(store, "new", b"n"))
        entry = self.entry_of(store)
        opening = run(entry.open())
        store.doom(entry)
        threads.run_all()
        draft = self.successResultOf(begun)
        lease = self.successResultOf(opening)
        self.assertEqual(self.read(lease), body_named("a"))
        commit = run(store.commit([(draft, sha256(b"n"))], 1.0))
        threads.run_all()
        self.successResultOf(commit)
        lease.close()
        threads.run_all()
        self.assertEqual(len(self.place.files()), 1)
        self.assert_agrees()

    def test_unnamed_while_it_is_looked_for(self) -> None:
        """A body that loses its first name in the very moment is found by its other link."""
        body, later = b"x" * 9000, WhenTold()
        store = self.started()
        for name in ("a", "b"):
            self.put(store, name, body)
        self.place.kill()

        def in_thread(
            function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
        ) -> Deferred[_T]:
            slow = function.__name__ == "_sizes_of"
            return (later if slow else at_once)(function, *args, **kwargs)

        self.place.in_thread = in_thread
        store = self.started()
        self.put(store, "a")
        later.run_all()
        self.assertEqual(self.body_of(store, "b"), body)
        self.assert_agrees()

    def test_lost_catalogue(self) -> None:
        """B7: what is not named as ours stays, whatever becomes of the catalogue."""
        store = self.started()
        self.put(store, "a")
        stranger = self.path_of(store, "a").with_name("README")
        stranger.write_text("mine")
        outside = self.place.path / "0000000000000001"
        outside.write_text("mine")
        self.successResultOf(run(store.stop()))
        self.place.directory.catalogue.unlink()
        store = self.started()
        self.assertEqual(self.body_of(store, "a"), body_named("a"))
        self.assertEqual((stranger.read_text(), outside.read_text()), ("mine", "mine"))
        self.assertEqual(store.entries, 1)

    def test_lost_counter(self) -> None:
        """Numbers are not given twice, even when the counter of runs is lost."""
        for _ in range(2):
            store = self.started()
            self.put(store, "a")
            self.put(store, "b")
            (self.place.path / "osproxy" / "run").unlink()
            self.place.kill()
        store = self.started()
        self.assertEqual(self.body_of(store, "a"), body_named("a"))
        self.assertEqual(self.body_of(store, "b"), body_named("b"))

    def test_two_rows_of_one_target(self) -> None:
        """Of two rows for one target the later one counts."""
        store = self.started()
        self.put(store, "a", b"old")
        first = self.place.path.with_name("first")
        first.mkdir()
        self.put(store, "b", b"new")
        self.place.catalogue._database.execute(
            "UPDATE entries SET path = '/a', key = (SELECT key FROM entries)"
        )
        self.place.catalogue._database.commit()
        self.place.kill()
        store = self.started()
        self.assertEqual(self.body_of(store, "a"), b"new")
        self.assertEqual(len(self.place.files()), 1)
        self.assert_agrees()

    def test_stops_the_sweep(self) -> None:
        """A stop does not wait for a sweep of a large directory."""
        store = self.started()
        for number in range(300):
            self.put(store, f"n{number}", b"")
        self.place.kill()
        self.place.in_thread = threads = WhenTold()
        store = self.place.store()
        starting = run(store.start())
        # The free space, the list of entries and its end.
        threads.run(4)
        self.successResultOf(starting)
        stopping = run(store.stop())
        threads.run()
        self.successResultOf(stopping)
