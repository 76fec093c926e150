"""Tests of `osproxy.service.collector`."""

from __future__ import annotations

import gc
import weakref

from twisted.trial.unittest import SynchronousTestCase

from osproxy.service.collector import leave_alone


class _Loop:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


class LeaveAloneTests(SynchronousTestCase):
    """What stays is not looked at again."""

    def setUp(self) -> None:
        """Leave other tests as they are."""
        self.addCleanup(gc.unfreeze)

    def test_out_of_sight(self) -> None:
        """What is there is no business of the collector any more; garbage goes before."""
        garbage = weakref.ref(_Loop())
        kept = _Loop()
        self.assertIsNotNone(garbage())
        leave_alone()
        self.assertIsNone(garbage())
        self.assertFalse(any(one is kept for one in gc.get_objects()))
        self.assertGreater(gc.get_freeze_count(), 0)

    def test_freed_all_the_same(self) -> None:
        """What nobody refers to any more is freed."""
        kept = {_Loop}
        found = weakref.ref(kept)
        leave_alone()
        del kept
        self.assertIsNone(found())
