"""Tests of `osproxy.cache.changes`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.changes import Changes
from osproxy.model import Target

FILE, VARIANT, OTHER = Target("/", "/a"), Target("/", "/a", "de"), Target("/", "/b")


class ChangesTests(SynchronousTestCase):
    """Fills, and changes that overtake them."""

    def test_overtaken(self) -> None:
        """A change overtakes what was begun before it, whatever the variant, and nothing else."""
        changes = Changes()
        changes.changed(FILE, 1.0)
        for fill in (VARIANT, OTHER):
            changes.begun(fill)
        self.assertFalse(changes.overtook(VARIANT, FILE, 2.0))
        # Within the same second.
        changes.changed(FILE, 2.0)
        self.assertTrue(changes.overtook(VARIANT, FILE, 2.0))
        self.assertFalse(changes.overtook(OTHER, OTHER, 2.0))

    def test_begun_anew(self) -> None:
        """What is begun after a change has what is there since."""
        changes = Changes()
        changes.begun(FILE)
        changes.changed(FILE, 1.0)
        changes.ended(FILE)
        changes.begun(FILE)
        self.assertFalse(changes.overtook(FILE, FILE, 1.0))
        changes.changed(OTHER, 1.0)
        self.assertFalse(changes.overtook(FILE, FILE, 1.0))

    def test_begun_by_others(self) -> None:
        """What has come to be fetched otherwise than by us may be anything."""
        self.assertTrue(Changes().overtook(FILE, FILE, 1.0))

    def test_bounded(self) -> None:
        """Made-up names do not pile up, and fills that have ended leave nothing."""
        changes = Changes()
        for number in range(10_100):
            target = Target("/", f"/{number}")
            changes.begun(target)
            changes.changed(target, 1.0)
            changes.ended(target)
        self.assertEqual((len(changes._latest), len(changes._before)), (10_000, 0))
