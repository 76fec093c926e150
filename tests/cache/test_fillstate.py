"""Tests of `osproxy.cache.fillstate`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.fillstate import NEXT, WORTH_FINISHING, FillState, worth_finishing


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

    def test_worth_finishing(self) -> None:
        """Little must be missing, or half of it there; of an unknown length nothing is known."""
        much = 10 * WORTH_FINISHING
        for written, length, worth in (
            (0, WORTH_FINISHING, True),
            (0, WORTH_FINISHING + 1, False),
            (much // 2, much, True),
            (much // 2 - 1, much, False),
            (much, None, False),
        ):
            with self.subTest(written=written, length=length):
                self.assertIs(worth_finishing(written, length), worth)
