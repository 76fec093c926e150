"""Tests of `osproxy.store.sharing`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.ledger import BLOCK, Ledger
from osproxy.store.sharing import Sharing


class SharingTests(SynchronousTestCase):
    """Who has a share in which body."""

    def setUp(self) -> None:
        """Have a body and nobody with a share in it."""
        self.ledger = Ledger(100 * BLOCK)
        self.ledger.adopt(1, 3 * BLOCK)
        self.sharing = Sharing(self.ledger)

    def test_alone(self) -> None:
        """Of what is not shared nothing is known, and it is its own body."""
        self.assertEqual((self.sharing.body_of(1), self.sharing.names_of(1)), (1, ()))
        self.assertIsNone(self.sharing.leave(1))

    def test_last_name(self) -> None:
        """A body without a name of its own goes with the last name, and not before."""
        self.sharing.join(2, 1, pinned=False)
        self.sharing.join(3, 1, pinned=False)
        self.sharing.unname(1)
        self.assertTrue(self.sharing.is_nameless(1))
        self.assertIsNone(self.sharing.leave(2))
        self.assertEqual((self.sharing.body_of(3), self.sharing.names_of(1)), (1, (3,)))
        self.assertEqual(self.sharing.leave(3), 1)
        self.assertEqual((self.sharing.unneeded(), self.sharing.bodies()), ([1], []))

    def test_own_name(self) -> None:
        """A body that has its own name stays when the others leave."""
        self.sharing.join(2, 1, pinned=False)
        self.assertIsNone(self.sharing.leave(2))
        self.assertEqual((self.sharing.names_of(1), self.sharing.unneeded()), ((), []))

    def test_dissolved(self) -> None:
        """A body that goes takes all shares with it."""
        self.sharing.join(2, 1, pinned=False)
        self.sharing.join(3, 1, pinned=False)
        self.sharing.unname(1)
        self.assertEqual(self.sharing.dissolve(1), (2, 3))
        self.assertEqual((self.sharing.body_of(2), self.sharing.is_nameless(1)), (2, False))
        self.assertIsNone(self.sharing.leave(2))

    def test_pinned_while_any_is(self) -> None:
        """A body is pinned from the first pinned name that joins to the last that leaves."""
        self.sharing.join(2, 1, pinned=False)
        self.assertFalse(self.ledger.is_pinned(1))
        self.sharing.join(3, 1, pinned=True)
        self.sharing.join(4, 1, pinned=True)
        for leaving, pinned in ((3, True), (2, True), (4, False)):
            self.assertTrue(self.ledger.is_pinned(1))
            self.sharing.leave(leaving)
            self.assertIs(self.ledger.is_pinned(1), pinned)

    def test_pinned_by_itself(self) -> None:
        """A body that is pinned under its own name is so until that name is gone."""
        self.ledger.pin(1, pinned=True)
        self.sharing.join(2, 1, pinned=True)
        self.sharing.leave(2)
        self.assertTrue(self.ledger.is_pinned(1))
        self.sharing.join(3, 1, pinned=False)
        self.sharing.unname(1)
        self.assertFalse(self.ledger.is_pinned(1))

    def test_pinned_and_alone(self) -> None:
        """A body that is pinned under its own name is so no longer, shared already or not."""
        self.ledger.pin(1, pinned=True)
        self.sharing.unname(1)
        self.assertFalse(self.ledger.is_pinned(1))
        self.sharing.join(2, 1, pinned=False)
        self.assertFalse(self.ledger.is_pinned(1))
