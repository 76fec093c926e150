"""Tests of `osproxy.store.rebuild`: a catalogue that is lost is made anew from the files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import evolve

from osproxy.repo.kinds import Kind
from osproxy.store.ledger import CacheFull
from osproxy.store.records import DRAFT_MAGIC, header_of, read_header
from tests.store.doubles import (
    HEAD,
    MIB,
    StoreTestCase,
    WhenTold,
    at_once,
    body_named,
    find,
    put,
    run,
    target,
)

if TYPE_CHECKING:
    from pathlib import Path


class RebuildTests(StoreTestCase):
    """Nothing of what is stored depends on the catalogue alone."""

    def stored(self, **bodies: bytes) -> dict[str, Path]:
        """Store bodies, stop, lose the catalogue; say where the files lie."""
        store = self.started()
        paths = {}
        for name, body in bodies.items():
            self.put(store, name, body)
            entry = self.entry_of(store, name)
            paths[name] = entry.blob.path
        self.successResultOf(run(store.stop()))
        self.place.directory.catalogue.unlink()
        return paths

    def test_damaged(self) -> None:
        """A damaged catalogue costs one error and no entry; the next start finds all in order."""
        self.stored(a=b"aa", b=b"bb")
        self.place.directory.catalogue.write_bytes(b"no database " * 1000)
        for _ in range(2):
            store = self.started()
            self.assertEqual([self.body_of(store, name) for name in "ab"], [b"aa", b"bb"])
            self.assertFalse(self.place.catalogue.incomplete)
            self.assert_agrees()
            self.successResultOf(run(store.stop()))
            damaged = list(self.place.directory.catalogue.parent.glob("catalogue.damaged-*"))
            self.assertEqual(len(damaged), 1)

    def test_what_a_row_says(self) -> None:
        """An entry comes back with all that its file says."""
        path = self.stored(a=b"abc")["a"]
        record = read_header(path)
        entry = self.entry_of(self.started())
        self.assertEqual(
            (entry.head, entry.kind, entry.digest, entry.stored_at, entry.checked_at),
            (record.head, record.kind, record.digest, record.stored_at, record.checked_at),
        )
        self.assertEqual(entry.head, HEAD)

    def test_content_lost(self) -> None:
        """A file that a power loss has left with its header and without its body is not served."""
        path = self.stored(a=b"a" * 5000, b=b"bb")["a"]
        with path.open("r+b") as file:
            file.seek(-1000, os.SEEK_END)
            file.write(bytes(1000))
        store = self.started()
        self.assertEqual(self.body_of(store, "b"), b"bb")
        entry = self.entry_of(store)
        self.failureResultOf(run(entry.open()), OSError)
        self.assertIsNone(find(store, target("a")))
        self.assert_agrees()

    def test_what_is_no_entry(self) -> None:
        """What is cut, has a draft's header, or none, goes; the others come back."""
        paths = self.stored(good=b"g", cut=b"c" * 9, draft=b"d", empty=b"e", bad=b"b")
        os.truncate(paths["cut"], paths["cut"].stat().st_size - 1)
        os.truncate(paths["empty"], 0)
        for name, octets in (("draft", DRAFT_MAGIC), ("bad", b"osproxy\n\0\0\0\1\0\0\0\3abc")):
            with paths[name].open("r+b") as file:
                file.write(octets)
        store = self.started()
        self.assertEqual(self.body_of(store, "good"), b"g")
        self.assertEqual(store.entries, 1)
        self.assertEqual({name for name, path in paths.items() if path.exists()}, {"good"})
        self.assert_agrees()

    def test_two_files_of_one_target(self) -> None:
        """Of two files for one target the later one is shown, and the other goes."""
        for path in self.stored(a=b"first", b=b"second").values():
            record = evolve(read_header(path), target=target("c"))
            with path.open("r+b") as file:
                file.write(header_of(record))
        for _ in range(2):
            store = self.started()
            self.assertEqual(self.body_of(store, "c"), b"second")
            self.assertEqual((store.entries, len(self.place.files())), (1, 1))
            self.assert_agrees()
            self.successResultOf(run(store.stop()))

    def test_older_than_what_has_gone(self) -> None:
        """An older version does not come back when a newer was stored, and has gone, meanwhile."""
        for goes in (True, False):
            self.stored(a=b"old", b=b"bb")
            self.place.in_thread = threads = WhenTold()
            store = self.place.store()
            starting = run(store.start())
            while not starting.called:
                threads.run()
            storing = run(put(store, "a", b"new"))
            while not storing.called:
                threads.waiting.rotate(1)
                threads.run()
            new = self.successResultOf(storing)
            if goes:
                store.drop(new)
            threads.run_all()
            self.place.in_thread = at_once
            for _ in range(2):
                self.assertEqual(self.body_of(store, "a"), None if goes else b"new")
                self.assertEqual(self.body_of(store, "b"), b"bb")
                self.assert_agrees()
                self.successResultOf(run(store.stop()))
                store = self.started()
            self.successResultOf(run(store.stop()))

    def test_replaced_but_not_unlinked(self) -> None:
        """Names keep the body of an entry that was just being replaced when all was lost."""
        store = self.started()
        for name in "ab":
            self.put(store, name, b"shared" * 1000)
        first = self.entry_of(store)
        body = first.body
        self.put(store, "a", b"new")
        self.place.directory.entry_path(body.id).hardlink_to(body.path)
        self.successResultOf(run(store.stop()))
        self.place.directory.catalogue.unlink()
        for _ in range(2):
            store = self.started()
            self.assertEqual(self.body_of(store, "a"), b"new")
            self.assertEqual(self.body_of(store, "b"), b"shared" * 1000)
            self.assert_agrees()
            self.successResultOf(run(store.stop()))

    def test_serves_meanwhile(self) -> None:
        """
        A start is done before a header is read. What is found is shown at once, and what is not
        found yet takes its space.
        """
        self.place.cache_size = 2 * MIB
        names = [f"n{number}" for number in range(100)]
        self.stored(**{name: body_named(name, 8192) for name in names})
        self.place.in_thread = threads = WhenTold()
        store = self.place.store()
        starting = run(store.start())
        while not starting.called:
            threads.run()
        self.successResultOf(starting)
        self.assertEqual(store.entries, 0)
        self.assertGreater(self.place.ledger.used, 100 * 8192)
        begun = run(store.begin(target("new"), HEAD, MIB, kind=Kind.PACKAGE))
        self.failureResultOf(begun, CacheFull)
        while not store.entries:
            threads.run()
        self.assertLess(store.entries, 100)
        # A newer one is not replaced by what is found later.
        missing = next(name for name in names if find(store, target(name)) is None)
        putting = run(put(store, missing, b"newer"))
        threads.run_all()
        self.successResultOf(putting)
        self.place.in_thread = at_once
        self.assertEqual(store.entries, 100)
        self.assertEqual(self.body_of(store, missing), b"newer")
        self.assert_agrees()

    def test_killed_meanwhile(self) -> None:
        """What one run does not come to, the next one brings back."""
        self.stored(**{f"n{number}": b"x" for number in range(200)})
        for stop in (True, False):
            self.place.in_thread = threads = WhenTold()
            store = self.place.store()
            starting = run(store.start())
            while not starting.called or store.entries < 64:
                threads.run()
            self.assertLess(store.entries, 200)
            if stop:
                stopping = run(store.stop())
                threads.run_all()
                self.successResultOf(stopping)
            else:
                self.place.kill()
        self.place.in_thread = at_once
        store = self.started()
        self.assertEqual((store.entries, len(self.place.files())), (200, 200))
        self.assertFalse(self.place.catalogue.incomplete)
        self.assert_agrees()
