"""Tests of the ledger: what is said of space is true after every step."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.eviction import POLICIES, Eviction
from osproxy.store.ledger import BLOCK, CacheFull, Ledger


class LedgerTests(SynchronousTestCase):
    """One thing at a time."""

    def test_counts_whole_blocks(self) -> None:
        """A file of one octet takes a block, as on the disk."""
        ledger = Ledger(10 * BLOCK)
        ledger.reserve(1, 1)
        self.assertEqual(ledger.used, BLOCK)

    def test_refuses_what_does_not_fit(self) -> None:
        """A reservation beyond the capacity is refused, and leaves no trace."""
        ledger = Ledger(2 * BLOCK)
        ledger.reserve(1, BLOCK)
        self.assertRaises(CacheFull, ledger.reserve, 2, BLOCK + 1)
        self.assertEqual(ledger.used, BLOCK)
        self.assertNotIn(2, ledger)

    def test_grows(self) -> None:
        """A reservation that cannot grow stays what it was; one that shrinks is left alone."""
        ledger = Ledger(3 * BLOCK)
        ledger.reserve(1, BLOCK)
        ledger.grow(1, 2 * BLOCK)
        self.assertRaises(CacheFull, ledger.grow, 1, 4 * BLOCK)
        ledger.grow(1, BLOCK)
        self.assertEqual(ledger.reserved, 2 * BLOCK)

    def test_settles_at_the_final_size(self) -> None:
        """What was reserved and not written is free once the file is whole."""
        ledger = Ledger(9 * BLOCK)
        ledger.reserve(1, 5 * BLOCK)
        ledger.settle(1, 2 * BLOCK)
        self.assertEqual((ledger.reserved, ledger.stored), (0, 2 * BLOCK))

    def test_settles_no_more_than_was_reserved(self) -> None:
        """A file cannot be larger than what was reserved for it."""
        ledger = Ledger(9 * BLOCK)
        ledger.reserve(1, BLOCK)
        self.assertRaises(ValueError, ledger.settle, 1, 2 * BLOCK)

    def test_doomed_counts_until_unlinked(self) -> None:
        """B5: an evicted file counts until its last reader has left and the unlink happened."""
        ledger = Ledger(9 * BLOCK)
        ledger.adopt(1, BLOCK)
        ledger.lease(1)
        ledger.lease(1)
        self.assertFalse(ledger.doom(1))
        self.assertFalse(ledger.release(1))
        self.assertEqual(ledger.awaiting, BLOCK)
        self.assertTrue(ledger.release(1))
        self.assertEqual(ledger.awaiting, BLOCK)
        ledger.removed(1)
        self.assertEqual(ledger.used, 0)

    def test_names_the_least_recently_used(self) -> None:
        """Who was not used for the longest time goes first, and no more go than must."""
        ledger = Ledger(4 * BLOCK)
        for key in (1, 2, 3, 4):
            ledger.adopt(key, BLOCK)
        ledger.touch(1)
        self.assertEqual(ledger.victims(ledger.missing(2 * BLOCK), 0.0), (2, 3))

    def test_names_none_in_vain(self) -> None:
        """Nobody goes for what would not fit anyway, nor for what fits already."""
        ledger = Ledger(4 * BLOCK)
        ledger.reserve(9, 2 * BLOCK)
        ledger.adopt(1, BLOCK)
        self.assertEqual(ledger.victims(ledger.missing(3 * BLOCK), 0.0), ())
        self.assertEqual(ledger.victims(ledger.missing(BLOCK), 0.0), ())

    def test_does_not_count_on_what_is_read(self) -> None:
        """A file with readers goes in its turn, but another goes for the space."""
        ledger = Ledger(2 * BLOCK)
        ledger.adopt(1, BLOCK)
        ledger.adopt(2, BLOCK)
        ledger.lease(1)
        self.assertEqual(ledger.victims(ledger.missing(BLOCK), 0.0), (1, 2))
        ledger.touch(1)
        self.assertEqual(ledger.victims(ledger.missing(BLOCK), 0.0), (2,))

    def test_counts_on_what_is_being_unlinked(self) -> None:
        """Space that is about to become free is not made free twice."""
        ledger = Ledger(2 * BLOCK)
        ledger.adopt(1, BLOCK)
        ledger.adopt(2, BLOCK)
        ledger.doom(1)
        self.assertEqual(ledger.victims(ledger.missing(BLOCK), 0.0), ())

    def test_missing(self) -> None:
        """What has to go is what does not fit beside what stays; what is going anyway does not."""
        ledger = Ledger(4 * BLOCK, headroom=BLOCK)
        ledger.adopt(1, BLOCK)
        ledger.reserve(2, BLOCK)
        self.assertFalse(ledger.missing(BLOCK))
        self.assertEqual(ledger.missing(2 * BLOCK + 1).octets, 2 * BLOCK)
        self.assertEqual(ledger.missing().octets, -BLOCK)
        ledger.doom(1)
        self.assertEqual(ledger.missing(2 * BLOCK).octets, 0)

    def test_spares_what_is_not_evictable(self) -> None:
        """A file that was settled for good is never named."""
        ledger = Ledger(2 * BLOCK)
        ledger.reserve(1, BLOCK)
        ledger.settle(1, BLOCK, evictable=False)
        ledger.touch(1)
        self.assertEqual(ledger.victims(ledger.missing(2 * BLOCK), 0.0), ())

    def test_surplus_after_shrinking(self) -> None:
        """When less is allowed, as many go as must, or as many as can."""
        ledger = Ledger(4 * BLOCK)
        for key in (1, 2, 3):
            ledger.adopt(key, BLOCK)
        ledger.lease(3)
        ledger.set_capacity(2 * BLOCK)
        self.assertEqual(ledger.surplus(0.0), (1,))
        ledger.set_capacity(0)
        self.assertEqual(ledger.surplus(0.0), (1, 2, 3))

    def test_counts_the_catalogue(self) -> None:
        """B6: the catalogue takes from the capacity, too."""
        ledger = Ledger(2 * BLOCK)
        ledger.overhead = BLOCK + 1
        self.assertEqual((ledger.overhead, ledger.used), (2 * BLOCK, 2 * BLOCK))
        self.assertRaises(CacheFull, ledger.reserve, 1, 1)

    def test_undeclared_steps_raise(self) -> None:
        """A step that a file cannot take is a bug, and says so."""
        ledger = Ledger(9 * BLOCK)
        ledger.reserve(1, BLOCK)
        ledger.adopt(2, BLOCK)
        for step in (
            lambda: ledger.reserve(1, 1),
            lambda: ledger.adopt(1, 1),
            lambda: ledger.touch(1),
            lambda: ledger.release(1),
            lambda: ledger.removed(1),
            lambda: ledger.settle(2, 1),
            lambda: ledger.grow(2, 1),
            lambda: ledger.shrink(2, 1),
            lambda: ledger.lease(3),
        ):
            self.assertRaises(ValueError, step)
        ledger.doom(1)
        self.assertRaises(ValueError, ledger.doom, 1)
        self.assertRaises(ValueError, ledger.lease, 1)


class FileTests(SynchronousTestCase):
    """There may be so many files only."""

    def setUp(self) -> None:
        """Have three, and room for many octets."""
        self.ledger = Ledger(99 * BLOCK)
        for key in (1, 2, 3):
            self.ledger.adopt(key, BLOCK)

    def test_bounded(self) -> None:
        """Beyond the limit there is no new one, however small, while what is there may grow."""
        self.ledger.set_capacity(99 * BLOCK, 4)
        self.ledger.reserve(4, BLOCK)
        self.assertFalse(self.ledger.fits(0, new=True))
        self.assertRaises(CacheFull, self.ledger.reserve, 5, 0)
        self.ledger.grow(4, 2 * BLOCK)
        self.assertEqual(self.ledger.files, 4)
        self.ledger.set_capacity(99 * BLOCK)
        self.ledger.reserve(5, BLOCK)

    def test_go_for_files(self) -> None:
        """One goes for a new one, unless one is going already; none goes for what only grows."""
        self.ledger.set_capacity(99 * BLOCK, 3)
        self.assertEqual(self.ledger.victims(self.ledger.missing(BLOCK), 0.0), ())
        missing = self.ledger.missing(BLOCK, new=True)
        self.assertEqual(self.ledger.victims(missing, 0.0), (1,))
        self.ledger.doom(1)
        self.assertFalse(self.ledger.missing(BLOCK, new=True))
        self.assertFalse(self.ledger.fits(BLOCK, new=True))
        self.ledger.removed(1)
        self.assertTrue(self.ledger.fits(BLOCK, new=True))

    def test_readers(self) -> None:
        """A file with readers goes in its turn, but another goes for its sake."""
        self.ledger.set_capacity(99 * BLOCK, 3)
        self.ledger.lease(1)
        missing = self.ledger.missing(BLOCK, new=True)
        self.assertEqual(self.ledger.victims(missing, 0.0), (1, 2))

    def test_none_in_vain(self) -> None:
        """Nobody goes where so many are read, or pinned, that there can be no new one."""
        self.ledger.set_capacity(99 * BLOCK, 2)
        self.ledger.lease(1)
        self.ledger.pin(2, pinned=True)
        self.assertEqual(self.ledger.victims(self.ledger.missing(BLOCK, new=True), 0.0), ())

    def test_surplus(self) -> None:
        """When fewer are allowed, as many go as must."""
        self.ledger.set_capacity(99 * BLOCK, 1)
        self.assertEqual(self.ledger.surplus(0.0), (1, 2))
        self.ledger.set_capacity(99 * BLOCK, -5)
        self.assertEqual(self.ledger.surplus(0.0), (1, 2, 3))

    def test_unlisted(self) -> None:
        """Files that have no account yet are there all the same."""
        self.ledger.unlisted = 2
        self.ledger.set_capacity(99 * BLOCK, 4)
        self.assertEqual(self.ledger.files, 5)
        self.assertEqual(self.ledger.surplus(0.0), (1,))
        self.assertFalse(self.ledger.fits(BLOCK, new=True))

    def test_images(self) -> None:
        """An image that goes because images are too many is one of them."""
        ledger = Ledger(99 * BLOCK, image_space=lambda capacity: 0)
        ledger.adopt(1, BLOCK)
        ledger.adopt(2, BLOCK, image=True)
        ledger.set_capacity(99 * BLOCK, 1)
        self.assertEqual(ledger.surplus(0.0), (2,))


class ImageTests(SynchronousTestCase):
    """Images have a part of the capacity."""

    def setUp(self) -> None:
        """Have room for ten blocks, five of them for images."""
        self.ledger = Ledger(10 * BLOCK, image_space=lambda capacity: capacity // 2)

    def adopt(self, key: int, blocks: int, *, image: bool) -> None:
        """Have a file."""
        self.ledger.adopt(key, blocks * BLOCK, image=image)

    def test_bounded(self) -> None:
        """An image does not fit beyond that part, while another file does."""
        self.adopt(1, 3, image=True)
        self.assertRaises(CacheFull, self.ledger.reserve, 2, 3 * BLOCK, image=True)
        self.ledger.reserve(2, 3 * BLOCK)
        self.ledger.reserve(3, 2 * BLOCK, image=True)
        self.assertRaises(CacheFull, self.ledger.grow, 3, 3 * BLOCK)
        self.assertEqual((self.ledger.images, self.ledger.image_capacity), (5 * BLOCK, 5 * BLOCK))

    def test_go_for_images(self) -> None:
        """Images go for an image, though others were used less recently."""
        self.adopt(1, 2, image=False)
        self.adopt(2, 3, image=True)
        self.adopt(3, 2, image=True)
        self.assertEqual(self.ledger.victims(self.ledger.missing(2 * BLOCK, image=True), 0.0), (2,))
        self.assertEqual(self.ledger.victims(self.ledger.missing(6 * BLOCK, image=True), 0.0), ())

    def test_go_for_all(self) -> None:
        """What an image needs beyond that comes from whoever is next; each is named once."""
        self.adopt(1, 5, image=False)
        self.adopt(2, 2, image=True)
        self.adopt(3, 3, image=False)
        self.assertEqual(
            self.ledger.victims(self.ledger.missing(5 * BLOCK, image=True), 0.0), (2, 1)
        )

    def test_leave_room_to_others(self) -> None:
        """Space that images do not take is for all; images go for others in their turn."""
        self.adopt(1, 2, image=True)
        self.adopt(2, 8, image=False)
        self.assertEqual(self.ledger.victims(self.ledger.missing(BLOCK), 0.0), (1,))

    def test_smaller_capacity(self) -> None:
        """When less is allowed, images come down to their part of it, even those that are read."""
        self.adopt(1, 2, image=False)
        self.adopt(2, 2, image=True)
        self.adopt(3, 2, image=True)
        self.ledger.lease(2)
        self.ledger.set_capacity(6 * BLOCK)
        self.assertEqual(self.ledger.surplus(0.0), (2,))

    def test_doomed(self) -> None:
        """An image that is on its way out is not counted as one any more, but as used."""
        self.adopt(1, 5, image=True)
        self.ledger.lease(1)
        self.ledger.doom(1)
        self.assertEqual((self.ledger.images, self.ledger.used), (0, 5 * BLOCK))
        self.ledger.reserve(2, 5 * BLOCK, image=True)


class StandingTests(SynchronousTestCase):
    """What a policy makes of uses, pins, and what is superseded."""

    def test_policy(self) -> None:
        """Who goes is the policy's to say, and what it knows of a file can be written down."""
        ledger = Ledger(99 * BLOCK, eviction=Eviction(POLICIES["clock"]))
        ledger.adopt(1, 10**9, hotness=2)
        ledger.adopt(2, 10**9)
        ledger.adopt(3, 10**9, hotness=0)
        ledger.touch(3)
        self.assertEqual([ledger.hotness(key) for key in (1, 2, 3)], [2, 0, 4])
        self.assertEqual(ledger.surplus(0.0), (2, 1, 3))

    def test_nobody_is_judged_in_vain(self) -> None:
        """Where it would not help, the policy is not even asked, so that no counter runs down."""
        ledger = Ledger(4 * BLOCK, eviction=Eviction(POLICIES["clock"]))
        ledger.adopt(1, BLOCK, hotness=5)
        ledger.lease(1)
        ledger.adopt(2, BLOCK, hotness=5)
        self.assertEqual(ledger.victims(ledger.missing(4 * BLOCK), 0.0), ())
        self.assertEqual((ledger.hotness(1), ledger.hotness(2)), (5, 5))

    def test_superseded(self) -> None:
        """What is superseded goes first once its grace is over, unless it is named again."""
        ledger = Ledger(3 * BLOCK)
        for key in (1, 2, 3):
            ledger.adopt(key, BLOCK)
        ledger.supersede(2, 100.0)
        self.assertEqual(ledger.victims(ledger.missing(BLOCK), 99.0), (1,))
        self.assertEqual(ledger.victims(ledger.missing(BLOCK), 100.0), (2,))
        ledger.unsupersede(2)
        self.assertEqual(ledger.victims(ledger.missing(BLOCK), 100.0), (1,))

    def test_pinned(self) -> None:
        """What is pinned is counted, and never named, superseded or not."""
        ledger = Ledger(3 * BLOCK)
        ledger.adopt(1, BLOCK, evictable=False, hotness=3)
        ledger.adopt(2, BLOCK)
        ledger.supersede(1, 0.0)
        ledger.touch(1)
        self.assertEqual((ledger.pinned, ledger.hotness(1)), (BLOCK, 0))
        ledger.set_capacity(0)
        self.assertEqual(ledger.surplus(9.0), (2,))
        ledger.doom(1)
        self.assertEqual(ledger.pinned, 0)
