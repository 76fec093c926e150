"""Tests of `osproxy.cache.athand`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import Deferred

from osproxy.cache.athand import Way, way_to
from osproxy.cache.serving import AT_ONCE
from osproxy.model import Representation, Target
from osproxy.repo.kinds import Kind
from tests.cache.doubles import MODIFIED, CacheTestCase, octets
from tests.cache.origin import BACKEND
from tests.store.doubles import run

if TYPE_CHECKING:
    from osproxy.model import Answer

PATH = "/oss/a-1-1.noarch.rpm"


def way(path: str) -> Way | None:
    """Say how a path is got at."""
    return way_to(BACKEND, Target("/", path))


class WayTests(CacheTestCase):
    """Which paths are looked for."""

    def test_files(self) -> None:
        """Files that stand alone are, and how they are kept is known by that."""
        found = way(PATH)
        assert found is not None
        self.assertEqual((found.target, found.policy.kind), (Target("/", PATH), Kind.PACKAGE))
        self.assertIsNotNone(way("/oss/INSTALL/boot/x86_64/loader/linux"))

    def test_others(self) -> None:
        """What is more than a file and its age is not, nor what is never kept."""
        for path in (
            "/oss/repodata/repomd.xml",
            "/geoip",
            "/wp-admin/x",
            "/oss/no rule",
            f"{PATH}.metalink",
            "/a.iso",
        ):
            self.assertIsNone(way(path), path)
        generic = evolve(BACKEND, generic=True)
        self.assertIsNone(way_to(generic, Target("/", PATH)))
        self.assertIsNotNone(way_to(evolve(BACKEND, large_objects=True), Target("/", "/a.iso")))


class AtHandTests(CacheTestCase):
    """Answers that are given at once, and those that are not."""

    stay_open = 2

    def at_hand(self, path: str = PATH) -> Answer | None:
        """Ask for what is at hand."""
        found = way(path)
        assert found is not None
        return self.bench.cache.at_hand(found)

    def test_as_others(self) -> None:
        """What is at hand is answered as it would be otherwise, and its use is noted alike."""
        self.store(PATH, b"package", MODIFIED)
        self.bench.advance(7)
        answer = self.at_hand()
        assert answer is not None
        other = self.successResultOf(self.bench.get(PATH))
        assert isinstance(answer.content, Representation)
        assert isinstance(other.content, Representation)
        self.assertEqual(answer.content.body, octets(other))
        self.assertEqual(
            evolve(answer, content=evolve(answer.content, body=None)),
            evolve(other, content=evolve(other.content, body=None)),
        )
        self.assertEqual(self.bench.origin.log, [f"GET {PATH}"])

    def test_used(self) -> None:
        """It counts as a use: what was at hand last goes last."""
        for path in (PATH, "/b-1-1.noarch.rpm"):
            self.store(path, path.encode())
        self.assertIsNotNone(self.at_hand())
        self.bench.place.ledger.set_capacity(self.bench.place.ledger.used - 1)
        entry = self.entry_of(PATH)
        (victim, *_) = self.bench.place.ledger.surplus(self.bench.place.clock.seconds())
        self.assertNotEqual(victim, entry.id)

    def test_not_fresh(self) -> None:
        """What is stale, or from a time to come, is not at hand."""
        self.store(PATH, b"package")
        self.bench.advance(15 * 60 - 1)
        self.assertIsNotNone(self.at_hand())
        self.bench.advance(1)
        self.assertIsNone(self.at_hand())

    def test_not_there(self) -> None:
        """Nor is what is not stored, not open, not a 200, or too long to be read in between."""
        self.assertIsNone(self.at_hand())
        self.store("/b.rpm", bytes(AT_ONCE))
        self.store("/c.rpm", bytes(AT_ONCE + 1))
        self.assertIsNotNone(self.at_hand("/b.rpm"))
        self.assertIsNone(self.at_hand("/c.rpm"))
        entry = self.entry_of("/b.rpm")
        entry.head = evolve(entry.head, status=203)
        self.assertIsNone(self.at_hand("/b.rpm"))

    def test_not_started(self) -> None:
        """Before the store is open nothing is at hand."""
        self.store(PATH, b"package")
        self.bench.stop()
        self.bench.build()
        self.assertIsNone(self.at_hand())
        self.successResultOf(Deferred.fromCoroutine(self.bench.cache.start()))
        entry = self.entry_of(PATH)
        self.successResultOf(run(entry.open())).close()
        self.assertIsNotNone(self.at_hand())
