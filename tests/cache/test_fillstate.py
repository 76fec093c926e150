"""Tests of `osproxy.cache.fillstate`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.fillstate import NEXT, FillState


class FillStateTests(SynchronousTestCase):
    """A fill goes forward only, and always comes to an end."""

    def test_declared(self) -> None:
        """For every state it is said where a fill may go from there."""
        self.assertEqual(set(NEXT), set(FillState))

    def test_no_way_back(self) -> None:
        """No state can be reached again."""

        def beyond(state: FillState) -> set[FillState]:
            reached = set(NEXT[state])
            return reached.union(*(beyond(further) for further in reached))

        for state in FillState:
            self.assertNotIn(state, beyond(state))

    def test_failure(self) -> None:
        """Whatever has not ended can fail."""
        for state, following in NEXT.items():
            self.assertTrue(not following or FillState.FAILED in following, state)

    def test_verified_first(self) -> None:
        """What is complete was verified before."""
        before = {state for state, following in NEXT.items() if FillState.COMPLETE in following}
        self.assertEqual(before, {FillState.VERIFYING})
