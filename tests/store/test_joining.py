"""Tests of `osproxy.store.joining`: equal bodies are stored once, whatever comes between."""

from __future__ import annotations

import os
import shutil
import sqlite3
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import CancelledError

from osproxy.http.versions import Version
from osproxy.model import Head
from osproxy.repo.kinds import Kind
from osproxy.store.ledger import BLOCK
from osproxy.store.records import Provenance
from tests.store.bodies import BODY, SharedBodyCase
from tests.store.doubles import (
    MIB,
    Failing,
    WhenTold,
    at_once,
    draft_of,
    find,
    put,
    run,
    sha256,
    target,
)
from tests.store.test_committing import STEPS

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from osproxy.store.entries import Entry
    from osproxy.store.store import Store

# Its header and its blocks, once.
TAKEN = 4096 + -(-len(BODY) // BLOCK) * BLOCK

OTHER = Head('"b"', (), None, "other.example", 7.0)


class NameTests(SharedBodyCase):
    """One body, and those who have a share in it."""

    def test_stored_once(self) -> None:
        """What is equal takes one block more, and each has its own head."""
        store = self.shared("a")
        draft = self.successResultOf(
            run(
                store.begin(
                    target("b"), Head('"b"', (), None, "h", 7.0), len(BODY), kind=Kind.IMAGE
                )
            )
        )
        draft.write(BODY)
        (entry,) = self.successResultOf(run(store.commit([(draft, sha256(BODY))], 9.0)))
        self.check(store, "a", "b")
        self.assertEqual(self.place.ledger.stored, TAKEN + BLOCK)
        self.assertEqual((entry.head.etag, entry.kind, entry.checked_at), ('"b"', Kind.IMAGE, 9.0))
        self.assertEqual(self.entry_of(store, "a").head.etag, '"a1"')

    def test_not_equal(self) -> None:
        """Another length, or another digest, is another body; so is one of a single block."""
        store = self.shared("a")
        self.put(store, "b", BODY[:-1])
        self.put(store, "c", BODY[::-1])
        self.put(store, "d", b"small")
        self.put(store, "e", b"small")
        self.assertEqual(len(self.place.files()), 5)
        self.assertTrue(
            all(self.entry_of(store, n).body is self.entry_of(store, n).blob for n in "abcde")
        )

    def test_readers_of_the_draft(self) -> None:
        """B5: who reads what is dropped for being equal reads it to its end."""
        store = self.shared("a")
        draft = self.successResultOf(run(draft_of(store, "b", BODY)))
        lease = draft.lease()
        self.successResultOf(run(store.commit([(draft, sha256(BODY))], 1.0)))
        self.assertEqual(os.pread(lease.fileno(), len(BODY), draft.offset), BODY)
        self.assertEqual(self.place.ledger.awaiting, TAKEN)
        lease.close()
        self.check(store, "a", "b")

    def test_pinned(self) -> None:
        """A body is not evicted while a name of it is pinned."""
        self.place.cache_size = 4 * MIB
        self.place.pins = ("/b",)
        for _ in range(2):
            store = self.started()
            for name in "ab":
                self.put(store, name, b"s" * MIB)
            for name in "cdef":
                self.put(store, name, name.encode() * MIB)
            self.assertEqual(self.body_of(store, "b"), b"s" * MIB)
            self.assertEqual(self.place.ledger.pinned, MIB + 2 * BLOCK)
            self.successResultOf(run(store.stop()))

    def test_at_the_same_time(self) -> None:
        """Of two that are equal and are committed at the same time the second finds the first."""
        store = self.started()
        drafts = [self.successResultOf(run(draft_of(store, name, BODY))) for name in "ab"]
        self.place.in_thread = self.place.in_database = threads = WhenTold()
        commits = [run(store.commit([(draft, sha256(BODY))], 1.0)) for draft in drafts]
        threads.run_all()
        for commit in commits:
            self.successResultOf(commit)
        self.place.in_thread = self.place.in_database = at_once
        self.check(store, "a", "b")

    def test_unreadable(self) -> None:
        """When the body is lost, all that have it are, and the next is stored as it is."""
        store = self.shared("a", "b")
        self.entry_of(store, "b").body.path.write_bytes(b"")
        self.put(store, "c", BODY)
        self.assertEqual([find(store, target(name)) for name in "ab"], [None, None])
        self.check(store, "c")

    def test_first_link_missing(self) -> None:
        """What is to share a body of which only the second link is there finds it by that."""
        store = self.shared("a", "b")
        self.entry_of(store, "b").body.path.unlink()
        self.put(store, "c", BODY)
        self.put(store, "d", BODY)
        self.assertIsNone(find(store, target("a")))
        self.assertEqual([self.body_of(store, name) for name in "bcd"], [BODY] * 3)
        self.assert_agrees()

    def test_no_links(self) -> None:
        """Where a file system has no links, each is stored as it is."""
        store = self.shared("a")
        self.place.in_thread = Failing({"link_body": PermissionError(1, "not permitted")})
        self.put(store, "b", BODY)
        self.assertEqual((self.body_of(store, "a"), self.body_of(store, "b")), (BODY, BODY))
        self.assertEqual(len(self.place.files()), 2)
        self.assert_agrees()

    def test_no_room_is_made_by_it(self) -> None:
        """What is given a name is not what goes meanwhile; when it has it, it goes as others do."""
        self.place.cache_size = 2 * MIB
        store = self.shared("a")
        draft = self.successResultOf(run(draft_of(store, "b", BODY)))
        self.place.in_database = threads = WhenTold()
        joining = run(store.commit([(draft, sha256(BODY))], 5.0))
        # What it is equal to is found.
        threads.run()
        while not joining.called:
            # It would fit if the body went.
            room = self.place.ledger.capacity - self.place.ledger.used - MIB // 4 + BLOCK
            begun = run(store.begin(target("c"), OTHER, room, kind=Kind.PACKAGE))
            threads.run()
            begun.addCallbacks(lambda draft: draft.discard(), lambda failure: None)
        self.place.in_database = at_once
        threads.run_all()
        self.successResultOf(joining)
        self.check(store, "a", "b")
        self.assertFalse(self.place.ledger.is_pinned(self.entry_of(store, "b").body.id))

    def test_goes_while_it_is_joined(self) -> None:
        """Whenever the body goes, or its first name, the entry that is to share it is stored."""
        for clear in (False, True):
            for turns in range(12):
                store = self.shared("a")
                draft = self.successResultOf(run(draft_of(store, "b", BODY)))
                self.place.in_thread = self.place.in_database = threads = WhenTold()
                commit = run(store.commit([(draft, sha256(BODY))], 1.0))
                threads.run(min(turns, len(threads.waiting)))
                first = self.entry_of(store)
                (store.drop if clear else store.doom)(first)
                threads.run_all()
                self.place.in_thread = self.place.in_database = at_once
                ended = commit.called and self.body_of(store, "b") == BODY
                commit.addErrback(lambda failure: failure.trap(OSError))
                self.assertTrue(ended or clear, f"{clear} {turns}")
                self.assertIsNone(find(store, target("a")))
                self.assert_agrees()
                store.doom_all(target("b"))
                self.assertEqual(self.place.files(), {})
                self.successResultOf(run(store.stop()))


class AnotherNameTests(SharedBodyCase):
    """A body gets a further name without a draft."""

    def name(self, store: Store, first: str, name: str) -> Deferred[Entry | None]:
        """Give what is stored under a name another name."""
        entry = self.entry_of(store, first)
        return run(store.name(entry, target(name), Kind.IMAGE, OTHER, 9.0))

    def named(self, store: Store, first: str, name: str) -> Entry | None:
        """Do so, and see that it is found."""
        entry = self.successResultOf(self.name(store, first, name))
        self.assertIs(find(store, target(name)), entry)
        return entry

    def test_named(self) -> None:
        """It is an entry of its own: of another kind, with another head, after any restart."""
        store = self.shared("a")
        self.named(store, "a", "b")
        for lost in (False, True):
            self.check(store, "a", "b")
            entry = self.entry_of(store, "b")
            self.assertEqual((entry.head, entry.kind, entry.checked_at), (OTHER, Kind.IMAGE, 9.0))
            self.assertEqual(self.entry_of(store, "a").kind, Kind.PACKAGE)
            self.successResultOf(run(store.stop()))
            if lost:
                self.place.directory.catalogue.unlink()
            store = self.started()
        store.doom(self.entry_of(store, "a"))
        self.check(store, "b")
        self.named(store, "b", "c")
        self.check(store, "b", "c")

    def test_small(self) -> None:
        """A body of one block has another name, too, if it is wanted."""
        store = self.started()
        self.put(store, "a", b"small")
        self.named(store, "a", "b")
        store.doom(self.entry_of(store, "a"))
        self.assertEqual(self.body_of(store, "b"), b"small")
        self.assert_agrees()

    def test_replaces(self) -> None:
        """What was there before goes, but for its readers, and for who shares it."""
        for shared in (False, True):
            store = self.shared("a")
            for name in "bc" if shared else "b":
                self.put(store, name, b"other" * 2000)
            reading = self.successResultOf(run(self.entry_of(store, "b").open()))
            self.named(store, "a", "b")
            self.assertEqual(self.read(reading), b"other" * 2000)
            reading.close()
            self.assertEqual(self.body_of(store, "b"), BODY)
            self.assertEqual(self.body_of(store, "c"), b"other" * 2000 if shared else None)
            self.assert_agrees()
            for name in "abc":
                store.doom_all(target(name))
            self.assertEqual(self.place.files(), {})
            self.successResultOf(run(store.stop()))

    def test_no_name(self) -> None:
        """Where there can be no name, nothing has changed."""
        store = self.shared("a")
        self.put(store, "b", b"other" * 2000)
        for trouble in ("link_body", "publish_name"):
            self.place.in_thread = Failing({trouble: PermissionError(1, "not permitted")})
            self.assertIsNone(self.successResultOf(self.name(store, "a", "b")))
            self.assertEqual(self.body_of(store, "b"), b"other" * 2000)
            self.assert_agrees()
        self.place.in_thread = at_once
        entry = self.entry_of(store, "a")
        long = evolve(OTHER, fields=(("X", "x" * 5000),))
        self.assertIsNone(
            self.successResultOf(run(store.name(entry, target("b"), Kind.IMAGE, long, 9.0)))
        )
        store.doom(entry)
        self.assertIsNone(
            self.successResultOf(run(store.name(entry, target("b"), Kind.IMAGE, OTHER, 9.0)))
        )
        self.assertEqual(self.body_of(store, "b"), b"other" * 2000)
        self.assert_agrees()

    def test_catalogue_fails(self) -> None:
        """When the row cannot be written, there is no name, and nothing is left of it."""
        store = self.shared("a")
        self.place.in_database = Failing({"_swap": sqlite3.OperationalError("disk I/O error")})
        self.failureResultOf(self.name(store, "a", "b"), sqlite3.OperationalError)
        self.place.in_database = at_once
        self.place.clock.advance(60)
        self.assertIsNone(find(store, target("b")))
        self.check(store, "a")
        self.assertEqual((self.place.ledger.stored, self.place.ledger.reserved), (TAKEN, 0))
        store.doom(self.entry_of(store, "a"))
        self.assertEqual(self.place.files(), {})

    def test_gone_before_the_row(self) -> None:
        """When the body goes before the row is written, what was there stays, also on the disk."""
        store = self.shared("a")
        self.put(store, "b", b"other" * 2000)
        first = self.entry_of(store, "a")
        self.place.checkpoint = lambda name: store.drop(first) if name == "after-rename" else None
        self.failureResultOf(run(store.name(first, target("b"), Kind.IMAGE, OTHER, 9.0)), OSError)
        self.place.checkpoint = lambda name: None
        for _ in range(2):
            self.assertEqual(self.body_of(store, "b"), b"other" * 2000)
            self.assertIsNone(find(store, target("a")))
            self.assertEqual(len(self.place.files()), 1)
            self.assert_agrees()
            self.successResultOf(run(store.stop()))
            store = self.started()

    def test_goes_meanwhile(self) -> None:
        """Whenever the body goes, or its first name: it has the new name, or there is none."""
        for clear in (False, True):
            for turns in range(12):
                store = self.shared("a")
                self.put(store, "b", b"other" * 2000)
                self.place.in_thread = self.place.in_database = threads = WhenTold()
                naming = self.name(store, "a", "b")
                threads.run(min(turns, len(threads.waiting)))
                (store.drop if clear else store.doom)(self.entry_of(store, "a"))
                threads.run_all()
                self.place.in_thread = self.place.in_database = at_once
                naming.addErrback(lambda failure: failure.trap(OSError))
                self.assertTrue(naming.called)
                self.assertIn(self.body_of(store, "b"), (BODY, b"other" * 2000, None))
                self.assertIsNone(find(store, target("a")))
                self.assert_agrees()
                store.doom_all(target("b"))
                self.assertEqual(self.place.files(), {})
                self.successResultOf(run(store.stop()))

    def test_stopped_meanwhile(self) -> None:
        """A stop waits for it, though nobody else does any more."""
        store = self.shared("a")
        self.place.in_thread = self.place.in_database = threads = WhenTold()
        naming = self.name(store, "a", "b")
        # Up to where there is room for it.
        threads.run(3)
        naming.cancel()
        self.failureResultOf(naming, CancelledError)
        stopping = run(store.stop())
        self.assertNoResult(stopping)
        threads.run_all()
        self.successResultOf(stopping)
        self.place.in_thread = self.place.in_database = at_once
        self.check(self.started(), "a", "b")


class CrashTests(SharedBodyCase):
    """B3: a crash at any step loses a draft at most, and leaves nothing that counts twice."""

    def test_each_step(self) -> None:
        """What was stored is served, with the catalogue or without it; all else has never been."""
        body = BODY * 100
        for lost in (False, True):
            for step in STEPS:
                store = self.started()
                self.put(store, "a", body)
                draft = self.successResultOf(
                    run(
                        store.begin(
                            target("b"),
                            self.entry_of(store, "a").head,
                            len(body),
                            kind=Kind.PACKAGE,
                            provenance=Provenance(Version('"up"', None, settled=False)),
                        )
                    )
                )
                draft.write(body)
                left = self.place.path.with_name(f"{step}-{lost}")

                def reached(name: str, step: str = step, left: object = left) -> None:
                    if name == step:
                        shutil.copytree(self.place.path, str(left))

                self.place.checkpoint = reached
                self.successResultOf(run(store.commit([(draft, sha256(body))], 1.0)))
                self.successResultOf(run(store.stop()))
                self.place.checkpoint = lambda name: None
                here, self.place.path = self.place.path, left
                if lost:
                    for path in (left / "osproxy").glob("catalogue.*"):
                        path.unlink()
                store = self.started()
                self.assertEqual(self.body_of(store, "a"), body)
                renamed = STEPS.index(step) >= STEPS.index("after-catalogue")
                renamed |= lost and STEPS.index(step) >= STEPS.index("after-rename")
                self.assertEqual(self.body_of(store, "b"), body if renamed else None)
                # At most the draft waits to be completed.
                self.assertEqual(len(store.kept), int(not renamed))
                self.assert_agrees()
                self.successResultOf(run(store.stop()))
                self.place.path = here
                shutil.rmtree(here)

    def test_each_step_of_a_name(self) -> None:
        """A name that is given without a draft is there, or is not."""
        for lost in (False, True):
            for step in STEPS:
                store = self.shared("a")
                left = self.place.path.with_name(f"name-{step}-{lost}")

                def reached(name: str, step: str = step, left: object = left) -> None:
                    if name == step:
                        shutil.copytree(self.place.path, str(left))

                self.place.checkpoint = reached
                naming = store.name(self.entry_of(store, "a"), target("b"), Kind.IMAGE, OTHER, 1.0)
                self.successResultOf(run(naming))
                self.successResultOf(run(store.stop()))
                self.place.checkpoint = lambda name: None
                here, self.place.path = self.place.path, left
                if lost:
                    for path in (left / "osproxy").glob("catalogue.*"):
                        path.unlink()
                store = self.started()
                renamed = STEPS.index(step) >= STEPS.index("after-catalogue")
                renamed |= lost and STEPS.index(step) >= STEPS.index("after-rename")
                self.assertEqual(self.body_of(store, "b"), BODY if renamed else None)
                self.check(store, "a", *("b" if renamed else ""))
                self.successResultOf(run(store.stop()))
                self.place.path = here
                shutil.rmtree(here)

    def test_row_lost(self) -> None:
        """A row that a power loss has brought back costs its entry, whose link is gone, alone."""
        for asked in ("", "a", "b"):
            store = self.shared("a", "b")
            path = self.entry_of(store, "a").body.path
            self.successResultOf(run(store.stop()))
            path.unlink()
            self.place.in_thread = threads = WhenTold()
            store = self.place.store()
            starting = run(store.start())
            threads.run()
            self.successResultOf(starting)
            if asked:
                opening = run(self.entry_of(store, asked).open())
                while not opening.called:
                    threads.waiting.rotate(1)
                    threads.run()
                if asked == "a":
                    self.failureResultOf(opening, FileNotFoundError)
                else:
                    self.successResultOf(opening).close()
            threads.run_all()
            self.place.in_thread = at_once
            self.assertIsNone(find(store, target("a")))
            self.check(store, "b")
            store.doom(self.entry_of(store, "b"))
            self.assertEqual(self.place.files(), {})
            self.successResultOf(run(store.stop()))

    def test_copied(self) -> None:
        """A directory that was copied without its links has one file for each body again."""
        store = self.shared("a", "b")
        self.successResultOf(run(store.stop()))
        copy = self.place.path.with_name("copy")
        shutil.copytree(self.place.path, copy)
        self.place.path = copy
        store = self.started()
        self.check(store, "a", "b")

    def test_power_loss(self) -> None:
        """A body in doubt is verified before it is served under any name, and is lent to nobody."""
        store = self.shared("a", "b")
        self.successResultOf(run(put(store, "a", b"other" * 2000)))
        self.place.kill()
        self.place.boot = "another"
        store = self.started()
        self.put(store, "c", BODY)
        self.assertEqual(self.body_of(store, "b"), BODY)
        self.put(store, "d", BODY)
        bodies = [self.entry_of(store, name).body for name in "bcd"]
        self.assertIsNot(bodies[1], bodies[0])
        self.assertIn(bodies[2], bodies[:2])
        self.assert_agrees()
