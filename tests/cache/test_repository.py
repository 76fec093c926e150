"""Tests of `osproxy.cache.repository`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osproxy.cache.repository import ABSENT_FOR, Repository
from osproxy.cache.snapshots import REPOMD, Document, Snapshot
from osproxy.cache.source import source_of
from osproxy.model import Head, Target
from tests.cache.doubles import CacheTestCase

if TYPE_CHECKING:
    from osproxy.cache.source import Source

DOCUMENT = Document(Head('"x"', (), None, "mirror.example", 0.0), b"1", "0")


class RepositoryTests(CacheTestCase):
    """What is known of the index of one repository."""

    def repository(self, current: Snapshot | None) -> Repository:
        """Make one that stays fresh for ten minutes."""

        def source(name: str) -> Source:
            return source_of(self.bench.upstream, name, https_only=True)

        return Repository(Target("/", "/oss"), 600.0, source, current)

    def test_target(self) -> None:
        """A member's target is below the repository's root, which may be the top."""
        self.assertEqual(self.repository(None).target(REPOMD).path, f"/oss/{REPOMD}")
        top = Repository(Target("/", ""), 1.0, self.repository(None).source_of)
        self.assertEqual(top.target(REPOMD).path, f"/{REPOMD}")

    def test_fresh(self) -> None:
        """It is fresh for its time after the last look, and never when the clock went back."""
        repository = self.repository(Snapshot("t", 1000.0, {REPOMD: DOCUMENT}))
        for now, fresh in ((1000, True), (1599, True), (1600, False), (999, False)):
            self.assertEqual(repository.fresh(now), fresh, now)
        self.assertFalse(self.repository(None).fresh(0.0))

    def test_absent(self) -> None:
        """That there is no repository is believed for a minute at most."""
        repository = self.repository(Snapshot("t", 0.0, {REPOMD: None}))
        self.assertTrue(repository.fresh(ABSENT_FOR - 1))
        self.assertFalse(repository.fresh(ABSENT_FOR))

    def test_whole(self) -> None:
        """It is whole while nothing of it that was stored is lost."""
        self.store("/oss/a.rpm", b"stands for a member")
        entry = self.bench.store.find(Target("/", "/oss/a.rpm"))
        assert entry is not None
        members = {"a": entry, "b": None, "c": DOCUMENT}
        repository = self.repository(Snapshot("t", 0.0, {**members}))
        self.assertTrue(repository.whole)
        self.bench.store.doom(entry)
        self.assertFalse(repository.whole)
        self.assertTrue(self.repository(None).whole)
