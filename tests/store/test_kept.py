"""Tests of `osproxy.store.kept`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.versions import Version
from osproxy.model import Target
from osproxy.repo.digests import Digest
from osproxy.repo.kinds import Kind
from osproxy.store.drafts import WORTH_COMPLETING
from osproxy.store.kept import KEPT_FOR, boot_id, trusted
from osproxy.store.ledger import BLOCK
from osproxy.store.records import DraftRecord, FoundDraft, Provenance
from tests.store.doubles import HEAD, MIB, TAGGED, StoreTestCase, part_of, run, target

_UNCERTAIN = Provenance(Version('W/"up"', "then", settled=False))
_DIGEST = Provenance(Version(None, None, settled=False), digest=Digest("md5", "0" * 32))


class KeptTests(StoreTestCase):
    """Drafts that nobody writes wait to be completed, and are in nobody's way."""

    def test_put_aside(self) -> None:
        """What was written stays, with its space; what was only reserved is free at once."""
        store = self.started()
        draft = self.put_aside(store, "a", bytes(2 * MIB), 9 * MIB)
        self.assertIs(store.kept.find(target("a")), draft)
        self.assertEqual((store.drafts, len(store.kept)), (0, 1))
        self.assertEqual(self.place.ledger.reserved, draft.offset + 2 * MIB)
        self.assertEqual(self.place.open_files(), [])
        self.assertIn(b"osproxy_kept_drafts 1.0", self.place.metrics.exposition())
        self.assert_agrees()

    def test_not_worth_it(self) -> None:
        """What is small, or could not be told from another version, is discarded."""
        store = self.started()
        for size, provenance in (
            (WORTH_COMPLETING - 1, TAGGED),
            (MIB, None),
            (MIB, _UNCERTAIN),
        ):
            self.put_aside(store, "a", bytes(size), 9 * MIB, provenance)
            self.assertEqual((len(store.kept), self.place.files()), (0, {}))
        self.assertEqual(self.place.ledger.reserved, 0)

    def test_one_a_target(self) -> None:
        """Of two for one target the later one is kept."""
        store = self.started()
        both = [
            self.successResultOf(run(part_of(store, "a", bytes(MIB), 9 * MIB))) for _ in range(2)
        ]
        for draft in both:
            draft.put_aside()
        self.assertIs(store.kept.find(target("a")), both[1])
        self.assertEqual(len(self.place.files()), 1)
        self.assert_agrees()

    def test_variants(self) -> None:
        """Of a URL all variants are found, the latest last, and none that is gone."""
        store, found = self.started(), []
        for variant in ("", "1", "2"):
            making = store.begin(
                Target("/", "/a", variant), HEAD, 9 * MIB, kind=Kind.GENERIC, provenance=TAGGED
            )
            draft = self.successResultOf(run(making))
            draft.write(bytes(MIB))
            draft.put_aside()
            found.append(draft)
        self.put_aside(store, "b", bytes(MIB), 9 * MIB)
        self.assertEqual(store.kept.variants(Target("/", "/a", "2")), found)
        store.kept.drop(Target("/", "/a", "1"))
        self.assertEqual(store.kept.variants(target("a")), [found[0], found[2]])
        for variant in ("", "2"):
            store.kept.drop(Target("/", "/a", variant))
        self.assertEqual((store.kept.variants(target("a")), len(store.kept)), ([], 1))

    def test_begin_anew(self) -> None:
        """Whoever begins anew has no use for what was put aside."""
        store = self.started()
        self.put_aside(store, "a", bytes(MIB), 9 * MIB)
        begun = self.successResultOf(run(store.begin(target("a"), HEAD, 5, kind=Kind.PACKAGE)))
        self.assertEqual(len(store.kept), 0)
        begun.discard()
        self.assert_agrees()

    def test_drop(self) -> None:
        """One that nobody wants any more goes; where there is none, nothing happens."""
        store = self.started()
        self.put_aside(store, "a", bytes(MIB), 9 * MIB)
        for _ in range(2):
            store.kept.drop(target("a"))
        self.assertEqual((len(store.kept), self.place.files()), (0, {}))

    def test_expires(self) -> None:
        """After a day nobody comes back for it."""
        store = self.started()
        self.put_aside(store, "a", bytes(MIB), 9 * MIB)
        self.place.clock.advance(KEPT_FOR)
        self.put_aside(store, "b", bytes(MIB), 9 * MIB)
        self.assertEqual(len(store.kept), 2)
        self.place.clock.advance(5)
        self.assertIsNone(store.kept.find(target("a")))
        self.assertIsNotNone(store.kept.find(target("b")))
        self.assert_agrees()

    def test_readers_hold_it(self) -> None:
        """B5: who still reads it is not disturbed when it goes, and its space is not free yet."""
        store = self.started()
        draft = self.successResultOf(run(part_of(store, "a", bytes(MIB), 9 * MIB)))
        lease = draft.lease()
        draft.put_aside()
        self.assertTrue(lease.fileno())
        store.kept.drop(target("a"))
        self.assertTrue(lease.fileno())
        self.assertEqual(self.place.ledger.awaiting, draft.offset + MIB)
        lease.close()
        self.assertEqual(self.place.ledger.awaiting, 0)
        self.assertEqual(self.place.open_files(), [])


class TrustedTests(SynchronousTestCase):
    """Which drafts of an earlier run are worth completing."""

    def found(self, provenance: Provenance | None = TAGGED, boot: str = "b1") -> FoundDraft:
        """Find one."""
        record = DraftRecord(
            1, target("a"), Kind.PACKAGE, HEAD, BLOCK, 9 * MIB, "", provenance, boot
        )
        return FoundDraft(record, MIB, 1000.0)

    def test_trusted(self) -> None:
        """After a power loss only a digest tells whether a file is as it was written."""
        for provenance, boot, here, expected in (
            (TAGGED, "b1", "b1", True),
            (TAGGED, "b1", "b2", False),
            (TAGGED, "", "", False),
            (_UNCERTAIN, "b1", "b1", False),
            (None, "b1", "b1", False),
            (_DIGEST, "b1", "b2", True),
            (_DIGEST, "", "", True),
        ):
            found = self.found(provenance, boot)
            self.assertIs(trusted(found, here, 1000.0), expected, (provenance, boot, here))

    def test_old(self) -> None:
        """One that has waited for a day is not kept."""
        self.assertTrue(trusted(self.found(), "b1", 1000.0 + KEPT_FOR))
        self.assertFalse(trusted(self.found(), "b1", 1001.0 + KEPT_FOR))

    def test_small(self) -> None:
        """One that has hardly begun is not kept."""
        found = FoundDraft(self.found().record, WORTH_COMPLETING - 1, 1000.0)
        self.assertFalse(trusted(found, "b1", 1000.0))


class BootTests(SynchronousTestCase):
    """Which boot of the machine it is."""

    def test_boot(self) -> None:
        """It is the same each time, and unknown where the system does not tell."""
        self.assertEqual(boot_id(), boot_id())
        self.assertRegex(boot_id(), "^[0-9a-f-]{36}$")
        path = Path(self.mktemp())
        self.assertEqual(boot_id(path), "")
        path.write_bytes(b"\xff")
        self.assertEqual(boot_id(path), "")
