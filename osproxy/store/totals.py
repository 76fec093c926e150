"""
What the accounts of all files come to.

An account is changed here and nowhere else, so that the sums are right at any time, and nobody ever
adds up a million files.
"""

from __future__ import annotations

from attrs import Factory, define, field

from osproxy.store.accounts import KEPT, TRANSITIONS, Account, State


@define(eq=False)
class Totals:
    """
    Sums over all accounts; where they tell no files, they are blocks.

    :ivar blocks: by where in their lives files are.
    :ivar images: of images that are stored or being written.
    :ivar evictable_images: of images that may be evicted, with readers or without.
    :ivar pinned: of stored files that are never evicted.
    :ivar idle: what evicting everything would free at once: without readers, and not pinned.
    :ivar idle_files: how many files that would be.
    :ivar condemned_files: how many files are to be unlinked now.
    """

    blocks: dict[State, int] = field(init=False, default=Factory(lambda: dict.fromkeys(State, 0)))
    images: int = field(init=False, default=0)
    evictable_images: int = field(init=False, default=0)
    pinned: int = field(init=False, default=0)
    idle: int = field(init=False, default=0)
    idle_files: int = field(init=False, default=0)
    condemned_files: int = field(init=False, default=0)

    def resize(self, account: Account, blocks: int) -> None:
        """Have a file take so much; one that is new takes nothing before."""
        self.blocks[account.state] += blocks - account.blocks
        if account.image and account.state in KEPT:
            self.images += blocks - account.blocks
        account.blocks = blocks

    def move(self, account: Account, state: State) -> None:
        """
        Have a file go on in its life.

        :raises ValueError: when that is no way to go.
        """
        if state not in TRANSITIONS[account.state]:
            raise ValueError(f"{account.state.value} does not become {state.value}")
        self.blocks[account.state] -= account.blocks
        self.blocks[state] += account.blocks
        self.condemned_files += (state is State.CONDEMNED) - (account.state is State.CONDEMNED)
        if account.image and account.state in KEPT and state not in KEPT:
            self.images -= account.blocks
        account.state = state

    def line_up(self, account: Account, *, evictable: bool) -> None:
        """Have a stored file be one of those that may be evicted, or of those that never are."""
        account.evictable = evictable
        if not evictable:
            self.pinned += account.blocks
        elif account.image:
            self.evictable_images += account.blocks
        self._count_idle(account, 1)

    def step_out(self, account: Account) -> None:
        """Have a file be neither of those any more."""
        self._count_idle(account, -1)
        if not account.evictable:
            self.pinned -= account.blocks
        elif account.image:
            self.evictable_images -= account.blocks
        account.evictable = False

    def lease(self, account: Account) -> None:
        """Have a file have one reader more."""
        self._count_idle(account, -1)
        account.leases += 1

    def release(self, account: Account) -> None:
        """Have a file have one reader less."""
        account.leases -= 1
        self._count_idle(account, 1)

    def _count_idle(self, account: Account, sign: int) -> None:
        if account.evictable and not account.leases:
            self.idle += sign * account.blocks
            self.idle_files += sign
