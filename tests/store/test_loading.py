"""Tests of `osproxy.store.loading`: entries that are asked for before they are listed."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from osproxy.repo.kinds import Kind
from osproxy.store.blobs import State
from osproxy.store.ledger import CacheFull
from osproxy.store.schema import CatalogueDamaged
from tests.store.doubles import (
    HEAD,
    MIB,
    Failing,
    Place,
    StoreTestCase,
    WhenTold,
    at_once,
    body_named,
    draft_of,
    find,
    put,
    run,
    sha256,
    target,
)

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from osproxy.store.store import Store


class LoadingTestCase(StoreTestCase):
    """What an earlier run has left, and a start that is not at its end."""

    def stored(self, *names: str) -> None:
        """Have an earlier run leave entries."""
        store = self.started()
        for name in names:
            self.put(store, name, name.encode())
        self.successResultOf(run(store.stop()))

    def starting(self) -> tuple[Store, WhenTold]:
        """Start a store that has not listed anything yet."""
        self.place.in_thread = threads = WhenTold()
        store = self.place.store()
        starting = run(store.start())
        # A look at the free space.
        threads.run()
        self.successResultOf(starting)
        return store, threads

    def finished(self, store: Store, threads: WhenTold) -> None:
        """Let it list all, and look whether nothing was mixed up."""
        threads.run_all()
        self.place.in_thread = at_once
        self.assert_agrees()
        self.assertEqual(len(self.place.files()), store.entries)


class LoadingTests(LoadingTestCase):
    """A store serves before it knows all that it has."""

    def test_found_before_it_is_listed(self) -> None:
        """An entry is found, read and let go of before its turn, and counted once."""
        self.stored("a", "b", "c")
        store, threads = self.starting()
        self.assertEqual(store.entries, 3)
        entry = self.entry_of(store)
        opening = run(entry.open())
        threads.waiting.rotate(1)
        threads.run()
        lease = self.successResultOf(opening)
        self.assertEqual(self.read(lease), b"a")
        lease.close()
        other = self.entry_of(store, "b")
        store.doom(other)
        self.assertIsNone(find(store, target("missing")))
        self.finished(store, threads)
        self.assertEqual(store.entries, 2)
        self.assertIs(find(store, target("a")), entry)
        self.assertIsNone(find(store, target("b")))

    def test_gone_before_it_is_listed(self) -> None:
        """What is gone, row and file, does not come back by a list that is older."""
        names = [f"n{number}" for number in range(600)]
        self.stored(*names)
        store, threads = self.starting()
        # The first bite; the next one waits.
        threads.run()
        entry = self.entry_of(store, names[-1])
        store.drop(entry)
        threads.waiting.rotate(1)
        threads.run()
        self.assertNotIn(entry.id, self.place.ledger)
        self.finished(store, threads)
        self.assertEqual(store.entries, 599)
        self.assertIsNone(find(store, target(names[-1])))

    def test_replaced_before_it_is_listed(self) -> None:
        """What is stored anew before its turn is what stays."""
        self.stored("a", "b")
        store, threads = self.starting()
        drafting = run(draft_of(store, "a", b"new"))
        threads.run_all()
        draft = self.successResultOf(drafting)
        commit = run(store.commit([(draft, sha256(b"new"))], 1.0))
        self.finished(store, threads)
        self.successResultOf(commit)
        self.assertEqual(self.body_of(store, "a"), b"new")
        self.assertEqual(store.entries, 2)

    def test_forgotten_before_it_is_listed(self) -> None:
        """What is taken out of sight does not come back when its turn comes, nor later."""
        self.stored("a", "b")
        store, threads = self.starting()
        store.doom_all(target("a"))
        self.finished(store, threads)
        for _ in range(2):
            self.assertIsNone(find(store, target("a")))
            self.assertEqual((store.entries, len(self.place.files())), (1, 1))
            self.successResultOf(run(store.stop()))
            store = self.started()

    def test_takes_its_space(self) -> None:
        """B6: what is not listed yet takes its space, and is not evicted for lack of more."""
        self.place.cache_size = 2 * MIB
        store = self.started()
        for number in range(3):
            self.put(store, f"n{number}", body_named(f"n{number}", 400_000))
        stored = self.place.ledger.stored
        self.successResultOf(run(store.stop()))
        store, threads = self.starting()
        self.assertEqual(self.place.ledger.stored, 0)
        self.assertGreater(self.place.ledger.used, stored)
        begun = run(store.begin(target("new"), HEAD, MIB, kind=Kind.PACKAGE))
        self.failureResultOf(begun, CacheFull)
        self.finished(store, threads)
        self.assertEqual(self.place.ledger.stored, stored)
        self.put(store, "new", bytes(MIB))

    def test_order_of_use(self) -> None:
        """What is used before it is listed is not taken for what was used least recently."""
        self.place.cache_size = 2 * MIB
        store = self.started()
        for number in range(3):
            self.put(store, f"n{number}", body_named(f"n{number}", 400_000))
        self.successResultOf(run(store.stop()))
        store, threads = self.starting()
        entry = self.entry_of(store, "n0")
        store.touch(entry)
        self.finished(store, threads)
        self.put(store, "new", bytes(600_000))
        names = ("n0", "n1", "n2", "new")
        there = [name for name in names if find(store, target(name)) is not None]
        self.assertEqual(there, ["n0", "n2", "new"])

    def test_stopped_while_it_lists(self) -> None:
        """A stop in the middle leaves everything for the next start."""
        self.stored("a", "b")
        for turns in range(4):
            store, threads = self.starting()
            threads.run(min(turns, len(threads.waiting)))
            stopping = run(store.stop())
            threads.run_all()
            self.successResultOf(stopping)
            self.assertEqual(self.place.descriptors(), [])
            self.place.in_thread = at_once
        self.assertEqual(self.body_of(self.started(), "b"), b"b")

    def test_not_looked_up(self) -> None:
        """What cannot be looked up yet is a miss, and found once it is listed."""
        self.stored("a")
        store, threads = self.starting()
        self.place.in_database = Failing({"_rows": sqlite3.OperationalError("disk")})
        self.assertIsNone(find(store, target("a")))
        self.place.in_database = at_once
        self.finished(store, threads)
        self.assertEqual(self.body_of(store, "a"), b"a")

    def test_deleted_while_it_lists(self) -> None:
        """Of a directory that is deleted meanwhile nothing is listed any more."""
        self.place.pins = ("/pinned",)
        self.stored("a", "b")
        store, threads = self.starting()
        self.place.in_database = database = WhenTold()
        threads.run()
        # What was listed is about to be looked at.
        self.assertEqual(len(database.waiting), 1)
        self.place.in_thread = at_once
        shutil.rmtree(self.place.directory.root)
        for _ in range(2):
            self.place.clock.advance(5)
        threads.run_all()
        database.run_all()
        self.place.in_database = at_once
        self.assertEqual(store.entries, 0)
        self.assertIsNone(find(store, target("a")))
        self.assertFalse(self.place.catalogue.incomplete)
        self.put(store, "b", b"new")
        self.finished(store, threads)
        self.assertEqual(self.body_of(store, "b"), b"new")

    def test_deleted_while_it_is_weighed(self) -> None:
        """Of a directory that is deleted while it is found out what it has, nothing counts."""
        self.stored("a")
        store, threads = self.starting()
        listing, _ = threads.waiting.popleft()
        listing.errback(CatalogueDamaged("malformed"))
        # The list ends, a folder is read, and its file weighed.
        threads.run(3)
        self.place.in_thread = at_once
        shutil.rmtree(self.place.directory.root)
        for _ in range(2):
            self.place.clock.pump([5, 5])
            threads.run_all()
        self.assertEqual(store.entries, 0)
        self.assertEqual(self.place.ledger.overhead % (256 * 1024), 0)

    def test_tried_again(self) -> None:
        """What the disk refuses of it is done within ten seconds after it does so no more."""
        self.stored("a", "b")
        for error in (sqlite3.OperationalError("disk I/O error"), OSError(errno.EIO, "broken")):
            stray = self.place.directory.entry_path(77)
            stray.parent.mkdir(parents=True, exist_ok=True)
            stray.write_bytes(b"")
            store, threads = self.starting()
            refused, _ = threads.waiting.popleft()
            refused.errback(error)
            threads.run_all()
            self.assertFalse(store.listed)
            self.place.in_thread = at_once
            for _ in range(2):
                self.place.clock.advance(5)
            self.assertTrue(store.listed)
            self.assertFalse(stray.exists())
            self.assert_agrees()
            self.assertEqual(self.place.ledger.overhead % (256 * 1024), 0)
            self.successResultOf(run(store.stop()))

    def test_damage_shows_while_it_lists(self) -> None:
        """Damage that shows only when all is read costs nothing that is stored."""
        # Nothing waits to be synced, so that it does not show at once.
        self.place.durable = True
        self.stored(*(f"n{number}" for number in range(300)))
        path = self.place.directory.catalogue
        octets = bytearray(path.read_bytes())
        # Pages of rows begin with 13.
        for start in range(len(octets) // 8192 * 4096, len(octets), 4096):
            if octets[start] == 13:
                octets[start : start + 4096] = b"\xff" * 4096
        path.write_bytes(octets)
        store, threads = self.starting()
        self.assertFalse(self.place.catalogue.incomplete)
        # It will be known and without a row.
        early = self.entry_of(store, "n0")
        while not self.place.catalogue.incomplete:
            threads.run()
        threads.run_all()
        self.place.in_thread = at_once
        self.assertIs(early, find(store, target("n0")))
        for _ in range(2):
            self.assertEqual(store.entries, 300)
            for number in range(300):
                name = f"n{number}"
                self.assertEqual(self.body_of(store, name), name.encode())
            self.assertFalse(self.place.catalogue.incomplete)
            self.assert_agrees()
            self.successResultOf(run(store.stop()))
            store = self.started()


class SharedTests(LoadingTestCase):
    """Names of a body that are not listed yet when the body may go."""

    BODY = body_named("shared")

    def shared(self, *names: str) -> None:
        """Have an earlier run leave one body under these names, the first of which may be gone."""
        store = self.started()
        for name in ("first", *names):
            self.put(store, name, self.BODY)
        if "first" not in names:
            store.doom_all(target("first"))
        self.successResultOf(run(store.stop()))

    def see(self, store: Store, *names: str) -> None:
        """See that the body is there once, under these names, now and after a restart."""
        for _ in range(2):
            self.assertEqual([self.body_of(store, name) for name in names], [self.BODY] * 2)
            self.assertEqual(len({self.entry_of(store, name).body.id for name in names}), 1)
            self.assert_agrees()
            self.successResultOf(run(store.stop()))
            store = self.started()
        for name in names:
            store.doom_all(target(name))
        self.assert_agrees()
        self.successResultOf(run(store.stop()))

    def test_first_entry_goes(self) -> None:
        """However the entry goes that a body came with, the others have the body."""
        for go in (
            lambda store: store.doom(self.entry_of(store, "first")),
            lambda store: store.doom_all(self.entry_of(store, "first").target),
            lambda store: store.doom_all(target("first")),
        ):
            self.shared("first", "b", "c")
            store, threads = self.starting()
            go(store)
            threads.run_all()
            self.place.in_thread = at_once
            self.assertIsNone(find(store, target("first")))
            self.see(store, "b", "c")

    def test_first_entry_is_replaced(self) -> None:
        """So it is when something else is stored in its place, and goes again."""
        self.shared("first", "b", "c")
        store, threads = self.starting()
        drafting = run(draft_of(store, "first", b"new"))
        threads.waiting.rotate(1)
        threads.run()
        commit = run(store.commit([(self.successResultOf(drafting), sha256(b"new"))], 1.0))
        threads.waiting.rotate(1)
        threads.run()
        self.successResultOf(commit)
        new = self.entry_of(store, "first")
        store.doom(new)
        self.assertIs(new.blob.state, State.DOOMED)
        threads.run_all()
        self.assertIs(new.blob.state, State.GONE)
        self.place.in_thread = at_once
        self.see(store, "b", "c")

    def test_last_listed_name_goes(self) -> None:
        """A body without a name of its own waits for the names that are not listed."""
        self.shared("a", "b", "c")
        store, threads = self.starting()
        store.doom(self.entry_of(store, "a"))
        threads.run_all()
        self.place.in_thread = at_once
        self.see(store, "b", "c")

    def test_ends_before_all_is_listed(self) -> None:
        """The next start finds the body for its names, and drops what nobody names."""
        for stops in (True, False):
            self.shared("first", "b", "c")
            self.stored("alone")
            store, threads = self.starting()
            for name in ("first", "alone"):
                store.doom(self.entry_of(store, name))
                # Its link is removed.
                threads.waiting.rotate(1)
                threads.run()
            stopping = run(store.stop()) if stops else None
            if stopping is None:
                self.place.kill()
            else:
                threads.run_all()
                self.successResultOf(stopping)
            self.place.in_thread = at_once
            store = self.started()
            for name in ("first", "alone"):
                self.assertIsNone(find(store, target(name)))
            self.see(store, "b", "c")
            self.assertEqual(self.place.files(), {})

    def test_damaged(self) -> None:
        """A body that is lost goes at once, and all names that are listed later with it."""
        self.shared("first", "b", "c")
        store, threads = self.starting()
        store.drop(self.entry_of(store, "first"))
        self.finished(store, threads)
        self.assertEqual((store.entries, self.place.files()), (0, {}))

    def test_nobody_shares_it(self) -> None:
        """What nobody turns out to share is gone, and what was pinned counts so no longer."""
        self.place.pins = ("/a",)
        self.stored("a", "b")
        store, threads = self.starting()
        store.doom(self.entry_of(store, "a"))
        self.assertEqual(self.place.ledger.pinned, 0)
        self.finished(store, threads)
        self.assertEqual(store.entries, 1)

    def test_damage_shows(self) -> None:
        """A body that is found by a name before the damage is has a row again like the name."""
        self.shared("b", "c")
        store, threads = self.starting()
        self.entry_of(store, "b")
        listing, _ = threads.waiting.popleft()
        listing.errback(CatalogueDamaged("malformed"))
        threads.run_all()
        self.place.in_thread = at_once
        self.see(store, "b", "c")

    def test_directory_deleted(self) -> None:
        """Nothing is kept for the sake of names that will never be listed."""
        self.shared("first", "b", "c")
        store, threads = self.starting()
        store.doom(self.entry_of(store, "first"))
        self.place.in_thread = at_once
        shutil.rmtree(self.place.directory.root)
        for _ in range(2):
            self.place.clock.advance(5)
        self.finished(store, threads)
        self.assertEqual((store.entries, self.place.ledger.stored), (0, 0))


_names = st.sampled_from("abcd")
_stored = st.lists(st.tuples(_names, st.sampled_from("xy")), max_size=8)
_done = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _names, st.sampled_from("xyz")),
        st.tuples(st.sampled_from(("doom", "forget", "read")), _names, st.just("")),
        st.tuples(st.just("run"), st.just(""), st.just("")),
    ),
    max_size=12,
)


class SequenceTests(LoadingTestCase):
    """Whatever happens to few bodies under few names while they are listed."""

    @given(before=_stored, meanwhile=_done)
    def test_all_is_as_it_was_left(
        self, before: list[tuple[str, str]], meanwhile: list[tuple[str, str, str]]
    ) -> None:
        """Each name has what was stored under it last, and nothing is counted that is not there."""
        self.place = Place(Path(self.mktemp()))
        store = self.started()
        for name, body in before:
            self.put(store, name, body_named(body))
        self.successResultOf(run(store.stop()))
        wanted = dict(before)
        store, threads = self.starting()
        for what, name, body in meanwhile:
            self.do(store, threads, what, name, body)
            if what == "put":
                wanted[name] = body
            elif what in ("doom", "forget"):
                wanted.pop(name, None)
        threads.run_all()
        self.place.in_thread = at_once
        for _ in range(2):
            for name in "abcd":
                expected = body_named(wanted[name]) if name in wanted else None
                self.assertEqual(self.body_of(store, name), expected)
            self.assertEqual(store.entries, len(wanted))
            self.assert_agrees()
            self.successResultOf(run(store.stop()))
            store = self.started()
        self.successResultOf(run(store.stop()))

    def do(self, store: Store, threads: WhenTold, what: str, name: str, body: str) -> None:
        """Do one thing, the list going on behind it."""
        if what == "run" and threads.waiting:
            threads.run()
        elif what == "put":
            self.last(threads, run(put(store, name, body_named(body))))
        elif what == "forget":
            store.doom_all(target(name))
        elif what in ("doom", "read") and (entry := find(store, target(name))) is not None:
            if what == "doom":
                store.doom(entry)
            else:
                self.last(threads, run(entry.open())).close()

    def last(self, threads: WhenTold, work: Deferred[Any]) -> Any:
        """Give what comes of work that was begun last."""
        while not work.called:
            threads.waiting.rotate(1)
            threads.run()
        return self.successResultOf(work)
