"""Tests of `osproxy.cache.repository`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osproxy.cache.repository import ABSENT_FOR, Repository
from osproxy.cache.snapshots import MEDIA, REPOMD, Document, Snapshot
from osproxy.cache.source import FileSource
from osproxy.model import Head, Target
from osproxy.repo.layout import CORE
from tests.cache.doubles import CacheTestCase

if TYPE_CHECKING:
    from osproxy.cache.source import Source

DOCUMENT = Document(Head('"x"', (), None, "mirror.example", 0.0), b"1", "0")


class RepositoryTests(CacheTestCase):
    """What is known of the index of one repository."""

    def repository(self, current: Snapshot | None) -> Repository:
        """Make one that stays fresh for ten minutes."""

        def source(name: str) -> Source:
            return FileSource(self.bench.upstream, name, https_only=True)

        return Repository(Target("/", "/oss"), 600.0, source, current)

    def test_target(self) -> None:
        """A member's target is below the repository's root, which may be the top."""
        self.assertEqual(self.repository(None).target(REPOMD).path, f"/oss/{REPOMD}")
        top = Repository(Target("/", ""), 1.0, self.repository(None).source_of)
        self.assertEqual(top.target(REPOMD).path, f"/{REPOMD}")

    def test_fresh(self) -> None:
        """It is fresh for its time after the last look, and never when the clock went back."""
        members = {**dict.fromkeys(CORE), REPOMD: DOCUMENT}
        repository = self.repository(Snapshot("t", 1000.0, members))
        for now, fresh in ((1000, True), (1599, True), (1600, False), (999, False)):
            self.assertEqual(repository.fresh(now), fresh, now)
        self.assertFalse(self.repository(None).fresh(0.0))

    def test_absent(self) -> None:
        """That there is no repository is believed for a minute at most."""
        repository = self.repository(Snapshot("t", 0.0, dict.fromkeys(CORE)))
        self.assertTrue(repository.fresh(ABSENT_FOR - 1))
        self.assertFalse(repository.fresh(ABSENT_FOR))

    def test_lost(self) -> None:
        """It is stale when something of it is lost; the rest of it can be served."""
        self.store("/oss/a.rpm", b"stands for a member")
        entry = self.entry_of("/oss/a.rpm")
        members = {**dict.fromkeys(CORE), REPOMD: DOCUMENT, MEDIA: entry}
        repository = self.repository(Snapshot("t", 0.0, members))
        self.assertTrue(repository.fresh(0.0))
        self.bench.store.doom(entry)
        self.assertFalse(repository.fresh(0.0))
        self.assertEqual([repository.serves(name) for name in (REPOMD, MEDIA)], [True, False])

    def test_rest(self) -> None:
        """A rest ends in time, and when the clock is set back."""
        repository = self.repository(None)
        repository.rest(1000.0, 5.0)
        for now, rests in ((999, False), (1000, True), (1004, True), (1005, False)):
            self.assertEqual(repository.rests(now), rests, now)
