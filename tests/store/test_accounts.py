"""Tests of `osproxy.store.accounts`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.accounts import BLOCK, KEPT, TRANSITIONS, State, blocks_of


class AccountTests(SynchronousTestCase):
    """What a file takes, and where it goes."""

    def test_blocks(self) -> None:
        """A file takes whole blocks, an empty one none."""
        for octets, blocks in ((0, 0), (1, 1), (BLOCK, 1), (BLOCK + 1, 2)):
            self.assertEqual(blocks_of(octets), blocks)

    def test_every_way_ends(self) -> None:
        """From every state there is a way to the end, and none back to what somebody wants."""
        self.assertEqual(set(TRANSITIONS), set(State))
        for state in {*State} - KEPT:
            self.assertFalse(TRANSITIONS[state] & KEPT)
        ends = {State.GONE}
        while more := {state for state in State if TRANSITIONS[state] & ends} - ends:
            ends |= more
        self.assertEqual(ends, set(State))
