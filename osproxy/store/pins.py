"""
What is pinned: files that are never evicted, whatever comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from osproxy.repo.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from osproxy.model import Target
    from osproxy.store.ledger import Ledger


class Pins:
    """
    The paths that the operator has pinned.

    :param paths: canonical, with the prefix of their backend; one that ends in a slash stands for
        everything below it.
    """

    log = Logger()

    def __init__(self, paths: Iterable[str] = ()) -> None:
        pinned = tuple(paths)
        self._files = frozenset(path for path in pinned if not path.endswith("/"))
        self._folders = tuple(path for path in pinned if path.endswith("/"))
        self._told = False

    def __bool__(self) -> bool:
        """Whether anything is pinned."""
        return bool(self._files or self._folders)

    def hold(self, target: Target) -> bool:
        """Whether a file is pinned."""
        path = str(target)
        return path in self._files or path.startswith(self._folders)

    def image(self, target: Target, kind: Kind) -> bool:
        """Whether a file counts as an image: what is pinned is not to be kept out by images."""
        return kind is Kind.IMAGE and not self.hold(target)

    def check(self, ledger: Ledger) -> None:
        """Say so, once, if what is pinned and stored has outgrown what the cache may take."""
        if ledger.pinned and ledger.pinned + ledger.overhead > ledger.capacity:
            self.tell("what is pinned", ledger)

    def tell(self, what: object, ledger: Ledger) -> None:
        """Say, once, that something pinned cannot be held."""
        if not self._told:
            self._told = True
            self.log.warn(
                "{what} cannot be held: pinned files take {pinned} octets, and the cache may take"
                " {capacity} in all; pin less, or raise --cache-size",
                what=what,
                pinned=ledger.pinned,
                capacity=ledger.capacity,
            )
