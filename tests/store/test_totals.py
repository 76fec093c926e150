"""Tests of `osproxy.store.totals`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.accounts import KEPT, TRANSITIONS, Account, State
from osproxy.store.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Callable

# Of which file, which of the things that may be done to it, and with how many blocks.
_steps = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 5)), min_size=10, max_size=40
)


class TotalsTests(SynchronousTestCase):
    """Sums that are right at any time."""

    def setUp(self) -> None:
        """Have a file that is being written, an image that is stored, and another file."""
        self.totals = Totals()
        self.files = [Account(State.RESERVED, 0, image) for image in (False, True, False)]
        self.lined_up: list[Account] = []
        for account in self.files:
            self.totals.resize(account, 3)
        for account in self.files[1:]:
            self.totals.move(account, State.STORED)

    def possible(self, account: Account, blocks: int) -> list[Callable[[], None]]:
        """Say what may be done to a file now."""
        steps: list[Callable[[], None]] = []
        if account in self.lined_up:
            steps.append(partial(self.step_out, account))
        else:
            steps.append(partial(self.totals.resize, account, blocks))
            if account.state is State.STORED:
                steps += [partial(self.line_up, account, evictable=yes) for yes in (True, False)]
            ways = sorted(TRANSITIONS[account.state], key=list(State).index)
            steps += [partial(self.totals.move, account, state) for state in ways]
        if account.state in KEPT:
            steps.append(partial(self.totals.lease, account))
        if account.leases:
            steps.append(partial(self.totals.release, account))
        return steps

    def line_up(self, account: Account, *, evictable: bool) -> None:
        """Have a file be evictable, or pinned."""
        self.totals.line_up(account, evictable=evictable)
        self.lined_up.append(account)

    def step_out(self, account: Account) -> None:
        """Have a file be neither."""
        self.totals.step_out(account)
        self.lined_up.remove(account)

    def assert_adds_up(self) -> None:
        """Add up what the accounts say."""
        evictable = [account for account in self.files if account.evictable]
        idle = [account for account in evictable if not account.leases]
        self.assertEqual(
            self.totals.blocks,
            {
                state: sum(account.blocks for account in self.files if account.state is state)
                for state in State
            },
        )
        for total, those in (
            (self.totals.images, [it for it in self.files if it.image and it.state in KEPT]),
            (self.totals.evictable_images, [it for it in evictable if it.image]),
            (self.totals.pinned, [it for it in self.lined_up if not it.evictable]),
            (self.totals.idle, idle),
        ):
            self.assertEqual(total, sum(account.blocks for account in those))
        self.assertEqual(self.totals.idle_files, len(idle))
        self.assertEqual(
            self.totals.condemned_files,
            sum(account.state is State.CONDEMNED for account in self.files),
        )

    @given(_steps)
    def test_add_up(self, steps: list[tuple[int, int, int]]) -> None:
        """Whatever is done to files, the totals are what their accounts come to."""
        self.setUp()
        for file, choice, blocks in steps:
            possible = self.possible(self.files[file], blocks)
            possible[choice % len(possible)]()
            self.assert_adds_up()

    def test_no_other_way(self) -> None:
        """A file does not go where there is no way to, and nothing is counted of it."""
        account = self.files[0]
        for state in (State.RESERVED, State.GONE):
            self.assertRaises(ValueError, self.totals.move, account, state)
        self.assertIs(account.state, State.RESERVED)
        self.assert_adds_up()

    def test_pinned(self) -> None:
        """A file is pinned until it is no longer, and then evictable as any other."""
        image = self.files[1]
        seen = []
        for evictable in (False, True):
            self.totals.line_up(image, evictable=evictable)
            seen.append((self.totals.pinned, self.totals.evictable_images, self.totals.idle))
            self.totals.step_out(image)
            seen.append((self.totals.pinned, self.totals.evictable_images, self.totals.idle))
        self.assertEqual(seen, [(3, 0, 0), (0, 0, 0), (0, 3, 3), (0, 0, 0)])

    def test_idle(self) -> None:
        """What evicting frees is what nobody reads, from the first reader to the last."""
        image = self.files[1]
        self.totals.line_up(image, evictable=True)
        seen = []
        for change in (self.totals.lease,) * 2 + (self.totals.release,) * 2:
            seen.append((self.totals.idle, self.totals.idle_files))
            change(image)
        seen.append((self.totals.idle, self.totals.idle_files))
        self.assertEqual(seen, [(3, 1), (0, 0), (0, 0), (0, 0), (3, 1)])
        self.assertEqual(self.totals.evictable_images, 3)
