"""Tests of `osproxy.store.drafting`."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError

from osproxy.http.versions import Version
from osproxy.repo.digests import Digest
from osproxy.repo.kinds import Kind
from osproxy.store.blobs import State
from osproxy.store.records import Provenance
from tests.store.doubles import (
    HEAD,
    MIB,
    Failing,
    StoreTestCase,
    WhenTold,
    at_once,
    part_of,
    run,
    sha256,
    target,
)

if TYPE_CHECKING:
    from pathlib import Path

    from osproxy.store.drafts import Draft
    from osproxy.store.store import Store

_EXPECTED = Provenance(Version(None, None, settled=False), digest=Digest("md5", "0" * 32))


class BeginTests(StoreTestCase):
    """A draft is begun."""

    def test_never_made(self) -> None:
        """Of a file that could not be made nothing is left that would have to be removed."""
        store = self.started()
        drafts = self.place.directory.root / "drafts"
        drafts.rmdir()
        # As on a disk that is read-only, nothing can be removed from there, either.
        drafts.touch()
        begun = run(store.begin(target("a"), HEAD, 5, kind=Kind.PACKAGE))
        self.failureResultOf(begun, NotADirectoryError)
        ledger = self.place.ledger
        self.assertEqual((ledger.used, ledger.files, store.drafts), (ledger.overhead, 0, 0))

    def test_made_in_vain(self) -> None:
        """One that is made when nobody wants it any more is removed."""
        store = self.started()
        self.place.in_thread = threads = WhenTold()
        beginning = run(store.begin(target("a"), HEAD, 5, kind=Kind.PACKAGE))
        beginning.cancel()
        self.failureResultOf(beginning, CancelledError)
        threads.run()
        self.assertEqual(len(self.place.files()), 1)
        threads.run_all()
        self.assertEqual((self.place.files(), self.place.open_files()), ({}, []))
        self.assert_agrees()


class ResumeTests(StoreTestCase):
    """What was put aside is taken up again."""

    def resumed(self, store: Store, name: str) -> Draft:
        """Take up a draft that is there."""
        draft = self.successResultOf(run(store.resume(target(name))))
        assert draft is not None
        return draft

    def test_completed(self) -> None:
        """It grows on from where it was, with room for its rest, and becomes an entry."""
        store = self.started()
        body = os.urandom(3 * MIB)
        self.put_aside(store, "a", body[:MIB], len(body))
        draft = self.resumed(store, "a")
        self.assertEqual((draft.written, store.drafts, len(store.kept)), (MIB, 1, 0))
        self.assertEqual(self.place.ledger.reserved, draft.offset + len(body))
        draft.write(body[MIB:])
        self.successResultOf(run(store.commit([(draft, sha256(body))], 1.0)))
        self.assertEqual(self.body_of(store, "a"), body)
        self.assert_agrees()

    def test_none(self) -> None:
        """Where there is nothing, there is nothing to be taken up."""
        self.assertIsNone(self.successResultOf(run(self.started().resume(target("a")))))

    def test_unknown_length(self) -> None:
        """A body of unknown length goes on as well, a step at a time."""
        store = self.started()
        self.put_aside(store, "a", bytes(MIB), None)
        draft = self.resumed(store, "a")
        for _ in range(9):
            draft.write(bytes(MIB))
        self.successResultOf(run(store.commit([(draft, "0" * 64)], 1.0)))
        self.assert_agrees()

    def test_no_room(self) -> None:
        """Where its rest has no room it waits on."""
        store = self.started()
        self.put_aside(store, "a", bytes(MIB), 40 * MIB)
        other = self.successResultOf(run(part_of(store, "b", b"", 40 * MIB)))
        self.assertIsNone(self.successResultOf(run(store.resume(target("a")))))
        self.assertEqual(len(store.kept), 1)
        other.discard()
        self.resumed(store, "a").discard()
        self.assertEqual(self.place.files(), {})

    def test_lost(self) -> None:
        """A file that is gone, or not as long as it was, is no use."""
        store = self.started()
        for spoil in (os.unlink, lambda path: os.truncate(path, 9000)):
            draft = self.put_aside(store, "a", bytes(MIB), 9 * MIB)
            spoil(draft.blob.path)
            self.assertIsNone(self.successResultOf(run(store.resume(target("a")))))
            self.assertEqual((len(store.kept), store.drafts, self.place.files()), (0, 0, {}))
        self.assertEqual(self.place.ledger.used, self.place.ledger.overhead)

    def test_too_many_open_files(self) -> None:
        """That it cannot be opened for now says nothing about it: it is taken up later."""
        store = self.started()
        self.put_aside(store, "a", bytes(MIB), 9 * MIB)
        self.place.in_thread = Failing({"opened": OSError(errno.EMFILE, "too many")})
        self.assertIsNone(self.successResultOf(run(store.resume(target("a")))))
        self.assertEqual((len(store.kept), store.drafts), (1, 0))
        self.place.in_thread = at_once
        self.assertEqual(self.resumed(store, "a").written, MIB)

    def test_cancelled(self) -> None:
        """Who leaves while it is opened leaves it as it was."""
        store = self.started()
        self.put_aside(store, "a", bytes(MIB), 9 * MIB)
        self.place.in_thread = threads = WhenTold()
        resuming = run(store.resume(target("a")))
        resuming.cancel()
        self.failureResultOf(resuming, CancelledError)
        threads.run_all()
        self.assertEqual((len(store.kept), store.drafts), (1, 0))
        self.assertEqual(self.place.open_files(), [])
        self.assert_agrees()

    def test_stop_meanwhile(self) -> None:
        """A stop finds it where it was."""
        store = self.started()
        self.put_aside(store, "a", bytes(MIB), 9 * MIB)
        self.place.in_thread = threads = WhenTold()
        resuming = run(store.resume(target("a")))
        stopping = run(store.stop())
        threads.run_all()
        self.successResultOf(stopping)
        self.assertIsNone(self.successResultOf(resuming))
        self.assertEqual((len(self.place.files()), self.place.open_files()), (1, []))

    def test_rewound(self) -> None:
        """What was written can be taken back, and something shorter written instead."""
        store = self.started()
        draft = self.successResultOf(run(part_of(store, "a", b"something", 9)))
        draft.rewind()
        draft.write(b"else")
        self.successResultOf(run(store.commit([(draft, sha256(b"else"))], 1.0)))
        self.assertEqual(self.body_of(store, "a"), b"else")
        self.successResultOf(run(store.stop()))
        self.assertEqual(self.body_of(self.started(), "a"), b"else")


class AdoptionTests(StoreTestCase):
    """B3: drafts outlive the process, whether it stops or is killed."""

    def left(self, provenance: Provenance | None = None, *, written: int = MIB) -> Path:
        """Have the server killed while it writes a draft."""
        store = self.started()
        self.put(store, "entry")
        draft = self.successResultOf(
            run(part_of(store, "a", b"1" * written, 3 * MIB, *([provenance] if provenance else [])))
        )
        self.place.kill()
        return draft.blob.path

    def test_killed(self) -> None:
        """After a kill it is found and completed, with the octets that were written."""
        self.left()
        store = self.started()
        self.assertEqual((store.entries, len(store.kept), store.drafts), (1, 1, 0))
        self.assert_agrees()
        draft = self.successResultOf(run(store.resume(target("a"))))
        assert draft is not None
        self.assertEqual((draft.written, draft.length), (MIB, 3 * MIB))
        draft.write(b"2" * 2 * MIB)
        self.successResultOf(run(store.commit([(draft, "0" * 64)], 1.0)))
        self.assertEqual(self.body_of(store, "a"), b"1" * MIB + b"2" * 2 * MIB)
        self.assert_agrees()

    def test_stopped(self) -> None:
        """A stop leaves it, being written or put aside, for the next start and the one after it."""
        store = self.started()
        self.successResultOf(run(part_of(store, "a", bytes(MIB), 3 * MIB)))
        self.put_aside(store, "b", bytes(MIB), 3 * MIB)
        for _ in range(2):
            self.successResultOf(run(store.stop()))
            self.assertEqual(self.place.open_files(), [])
            store = self.started()
            self.assertEqual(len(store.kept), 2)
            self.assert_agrees()

    def test_numbers(self) -> None:
        """A new file never has the number of one that was found."""
        path = self.left()
        store = self.started()
        draft = self.successResultOf(run(part_of(store, "b", bytes(MIB), 3 * MIB)))
        self.assertGreater(draft.blob.path.name, path.name)

    def test_another_boot(self) -> None:
        """After a power loss it is trusted only if the whole has a digest to be compared with."""
        for provenance, kept in ((None, 0), (_EXPECTED, 1)):
            self.left(provenance)
            self.place.boot += " is another"
            store = self.started()
            self.assertEqual(len(store.kept), kept)
            self.assertEqual(len(self.place.files()), 1 + kept)
            self.assert_agrees()
            store.kept.drop(target("a"))
            self.successResultOf(run(store.stop()))

    def test_somebody_was_faster(self) -> None:
        """Whoever asked before it was found has begun anew, and it is in nobody's way."""
        for put_aside in (False, True):
            self.left()
            self.place.in_thread = threads = WhenTold()
            store = self.place.store()
            starting = run(store.start())
            threads.run()
            self.successResultOf(starting)
            begun = run(part_of(store, "a", b"2" * MIB, 3 * MIB))
            # The new file is made before the old ones are looked at.
            threads.waiting.rotate(1)
            threads.run()
            draft = self.successResultOf(begun)
            if put_aside:
                draft.put_aside()
            threads.run_all()
            self.place.in_thread = at_once
            self.assertEqual((len(store.kept), store.drafts), (put_aside, not put_aside))
            self.assertIs(draft.blob.state, State.KEPT if put_aside else State.DRAFT)
            self.assertEqual(len(self.place.files()), 2)
            draft.discard()
            store.kept.drop(target("a"))
            self.assert_agrees()
            self.successResultOf(run(store.stop()))

    def test_two_of_one_target(self) -> None:
        """Of two the one that was begun later is kept."""
        store = self.started()
        for number in (b"1", b"2"):
            draft = self.successResultOf(run(part_of(store, "a", number * MIB, 3 * MIB)))
        self.place.kill()
        store = self.started()
        self.assertEqual((len(store.kept), len(self.place.files())), (1, 1))
        kept = store.kept.find(target("a"))
        assert kept is not None
        self.assertEqual(kept.blob.id & 0xFFFFFFFF, draft.blob.id & 0xFFFFFFFF)
        self.assert_agrees()

    def test_no_room(self) -> None:
        """B6: what has no room any more is not kept."""
        self.left(written=3 * MIB)
        self.place.cache_size = 2 * MIB
        store = self.started()
        self.assertEqual(len(store.kept), 0)
        self.assert_agrees()
