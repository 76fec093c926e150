"""Tests of `osproxy.cache.generations`: the swap of snapshots, a full store, and the stop."""

from __future__ import annotations

from osproxy.cache.visits import LASTS
from osproxy.model import Representation, Target
from tests.cache.repositories import (
    DNF,
    LIFETIME,
    REPOMD,
    ZYPPER,
    GenerationsTestCase,
)


class SwapTests(GenerationsTestCase):
    """A client that has begun with a snapshot is shown the rest of it."""

    def swap_within(self, order: tuple[str, ...], after: int, *, kept: bool) -> None:
        """Let a new snapshot take over after so many files of a visit."""
        self.publish(1)
        self.poll(connection=99)
        self.bench.advance(LIFETIME - 1)
        seen = self.poll(order[:after], connection=1)
        self.publish(2)
        self.bench.advance(1)
        other = self.successResultOf(self.bench.get(REPOMD, head=True))
        self.assertTrue(other)
        for number, path in enumerate(order[after:]):
            seen += self.poll((path,), connection=1 if kept else 10 + number)
        self.assertEqual(seen, self.snapshot(1, order), (order, after, kept))
        self.assertEqual(self.poll(order, connection=50), self.snapshot(2, order))

    def test_zypper(self) -> None:
        """In zypper's order, over one connection, wherever the swap falls."""
        for after in range(1, len(ZYPPER)):
            self.swap_within(ZYPPER, after, kept=True)
            self.bench.advance(2 * LASTS + LIFETIME)

    def test_dnf(self) -> None:
        """In dnf's order, with a connection for each file, wherever the swap falls."""
        for after in range(1, len(DNF)):
            self.swap_within(DNF, after, kept=False)
            self.bench.advance(2 * LASTS + LIFETIME)

    def test_retired(self) -> None:
        """The snapshot before is kept for a minute and not longer."""
        self.publish(1)
        self.poll()
        self.publish(2)
        self.bench.advance(LIFETIME)
        self.poll(connection=2)
        repository = self.bench.generations._repositories[Target("/", "/oss")]
        self.assertIsNotNone(repository.previous)
        self.bench.advance(2 * LASTS)
        self.assertIsNone(repository.previous)


class FullTests(GenerationsTestCase):
    """A store without room costs no client an index."""

    cache_size = 0

    def test_in_memory(self) -> None:
        """Files that cannot be stored are kept in memory, confirmed and replaced like others."""
        self.publish(1)
        self.assertEqual(self.poll(), self.snapshot(1))
        self.assertIsNone(self.stored(REPOMD))
        self.origin.log.clear()
        self.assertEqual(self.poll(), self.snapshot(1))
        self.assertEqual(self.origin.log, [])
        self.bench.advance(LIFETIME)
        self.assertEqual(self.poll(connection=2), self.snapshot(1))
        self.publish(2)
        self.bench.advance(LIFETIME)
        self.assertEqual(self.poll(connection=3), self.snapshot(2))

    def test_head(self) -> None:
        """HEAD has the length of a file in memory, too."""
        self.publish(1)
        answer = self.successResultOf(self.bench.get(REPOMD, head=True))
        assert isinstance(answer.content, Representation)
        self.assertEqual(answer.content.length, len(self.content(REPOMD, 1)))
        self.assertIsNone(answer.content.body)


class StopTests(GenerationsTestCase):
    """A stop cancels what is under way; what is left on the clock is nothing."""

    def test_refreshing(self) -> None:
        """Refreshes end; who waits for the first is told so, who has something is served it."""
        self.publish(1)
        self.poll()
        self.origin.files.clear()
        self.bench.advance(LIFETIME)
        served = self.bench.get(REPOMD)
        cold = self.bench.get("/other/repodata/repomd.xml")
        self.bench.stop()
        self.assertEqual(self.status_of(self.successResultOf(cold)), 502)
        answer = self.successResultOf(served)
        self.assertIsInstance(answer.content, Representation)
        self.bench.start()

    def test_retiring(self) -> None:
        """A snapshot that was about to retire leaves no timer behind."""
        self.publish(1)
        self.poll()
        self.publish(2)
        self.bench.advance(LIFETIME)
        self.assertEqual(self.poll(connection=2), self.snapshot(2))
