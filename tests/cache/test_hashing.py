"""Tests of `osproxy.cache.hashing`."""

from __future__ import annotations

import hashlib
import os

from osproxy.cache.hashing import Hashing
from osproxy.repo.kinds import Kind
from tests.store.doubles import HEAD, MIB, StoreTestCase, WhenTold, at_once, run, target


class HashingTests(StoreTestCase):
    """The digests of a growing file are known soon after its last octet."""

    def setUp(self) -> None:
        """Have a draft."""
        super().setUp()
        self.store = self.started()
        begun = run(self.store.begin(target("a"), HEAD, 8 * MIB, kind=Kind.PACKAGE))
        self.draft = self.successResultOf(begun)

    def tearDown(self) -> None:
        """Find that the draft was let go."""
        self.draft.discard()
        self.successResultOf(run(self.store.stop()))
        self.assertEqual((self.place.ledger.reserved, self.place.ledger.awaiting), (0, 0))

    def test_digests(self) -> None:
        """Each digest that was asked for is that of all octets, in whatever pieces they came."""
        hashing = Hashing(self.draft.lease(), self.draft.offset, at_once, ["md5", "sha256"])
        body = os.urandom(5 * MIB + 1)
        for start in range(0, len(body), MIB):
            self.draft.write(body[start : start + MIB])
            hashing.grew(self.draft.written)
        digests = self.successResultOf(run(hashing.finish(len(body))))
        self.assertEqual(digests["sha256"], hashlib.sha256(body).hexdigest())
        self.assertEqual(digests["md5"], hashlib.md5(body, usedforsecurity=False).hexdigest())
        hashing.close()

    def test_nothing(self) -> None:
        """An empty file has a digest as well."""
        hashing = Hashing(self.draft.lease(), self.draft.offset, at_once, ["sha256"])
        digests = self.successResultOf(run(hashing.finish(0)))
        self.assertEqual(digests["sha256"], hashlib.sha256().hexdigest())
        hashing.close()

    def test_falling_behind(self) -> None:
        """However fast the file grows, one thread at a time follows it."""
        thread = WhenTold()
        hashing = Hashing(self.draft.lease(), self.draft.offset, thread, ["sha256"])
        for _ in range(8):
            self.draft.write(bytes(MIB))
            hashing.grew(self.draft.written)
        self.assertEqual(len(thread.waiting), 1)
        finishing = run(hashing.finish(8 * MIB))
        self.assertNoResult(finishing)
        thread.run_all()
        expected = hashlib.sha256(bytes(8 * MIB)).hexdigest()
        self.assertEqual(self.successResultOf(finishing)["sha256"], expected)
        hashing.close()

    def test_unreadable(self) -> None:
        """A file that is shorter than what was written to it has no digest."""
        hashing = Hashing(self.draft.lease(), self.draft.offset, at_once, ["sha256"])
        self.draft.write(b"short")
        self.failureResultOf(run(hashing.finish(6)), OSError)
        hashing.close()

    def test_passing_trouble(self) -> None:
        """A disk that fails once, in the middle of a bite, costs the digest nothing."""
        thread = WhenTold()
        hashing = Hashing(self.draft.lease(), self.draft.offset, thread, ["sha256"])
        body = os.urandom(5 * MIB)
        self.draft.write(body)
        hashing.grew(6 * MIB)
        finishing = run(hashing.finish(len(body)))
        thread.run_all()
        digests = self.successResultOf(finishing)
        self.assertEqual(digests["sha256"], hashlib.sha256(body).hexdigest())
        hashing.close()

    def test_closed_while_reading(self) -> None:
        """The file is held until the thread that reads it is done."""
        thread = WhenTold()
        hashing = Hashing(self.draft.lease(), self.draft.offset, thread, ["sha256"])
        self.draft.write(bytes(5 * MIB))
        hashing.grew(self.draft.written)
        hashing.close()
        self.draft.discard()
        self.assertGreater(self.place.ledger.awaiting, 0)
        thread.run_all()
        self.assertEqual(self.place.ledger.awaiting, 0)
