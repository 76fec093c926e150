"""
Bodies that several entries have in common: who has a share, and whether one stays without a name.

A body lies in the file of the entry that came with it; every further entry of it is a name, whose
file is a header alone. When the first entry goes and a name does not, the body stays, nameless,
until its last name goes. Of what is not shared nothing is remembered here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from osproxy.store.ledger import Ledger


@define(eq=False)
class Sharing:
    """Which body belongs to which entries, by the numbers of their files."""

    _ledger: Ledger
    _body_of: dict[int, int] = field(init=False, factory=dict)
    _names_of: dict[int, dict[int, None]] = field(init=False, factory=dict)
    _nameless: set[int] = field(init=False, factory=set)
    # Of each body, those with a share in it that are pinned: while there is one, it is, too.
    _pinned: dict[int, set[int]] = field(init=False, factory=dict)

    def body_of(self, number: int) -> int:
        """Say in which file the body of an entry lies."""
        return self._body_of.get(number, number)

    def names_of(self, body: int) -> tuple[int, ...]:
        """Name those that have their body in this file, in the order in which they came."""
        return tuple(self._names_of.get(body, ()))

    def is_nameless(self, number: int) -> bool:
        """Whether a file is a body that only others name."""
        return number in self._nameless

    def bodies(self) -> list[int]:
        """Name those that have names."""
        return list(self._names_of)

    def unneeded(self) -> list[int]:
        """Name the bodies that nobody names."""
        return [body for body in self._nameless if body not in self._names_of]

    def join(self, number: int, body: int, *, pinned: bool) -> None:
        """Give an entry a share in a body that is stored."""
        if body not in self._names_of and self._ledger.is_pinned(body):
            self._pinned[body] = {body}
        self._names_of.setdefault(body, {})[number] = None
        self._body_of[number] = body
        if pinned:
            self._pinned.setdefault(body, set()).add(number)
            self._ledger.pin(body, pinned=True)

    def unpin(self, number: int) -> None:
        """Note that an entry is not pinned, or no longer."""
        self._unpin(number, self.body_of(number))

    def unname(self, body: int) -> None:
        """Note that the entry that came with a body is gone."""
        self._nameless.add(body)
        if body in self._names_of:
            self._unpin(body, body)
        else:
            self._ledger.pin(body, pinned=False)

    def leave(self, number: int) -> int | None:
        """Take an entry's share away, and name the body if nobody has a share in it any more."""
        body = self._body_of.pop(number, None)
        if body is None:
            return None
        del self._names_of[body][number]
        self._unpin(number, body)
        if self._names_of[body]:
            return None
        del self._names_of[body]
        self._pinned.pop(body, None)
        return body if body in self._nameless else None

    def dissolve(self, body: int) -> tuple[int, ...]:
        """Take all shares in a body away, since it is going, and say whose they were."""
        names = tuple(self._names_of.pop(body, ()))
        for number in names:
            del self._body_of[number]
        self._nameless.discard(body)
        self._pinned.pop(body, None)
        return names

    def _unpin(self, number: int, body: int) -> None:
        pinned = self._pinned.get(body)
        if pinned and number in pinned:
            pinned.remove(number)
            if not pinned:
                self._ledger.pin(body, pinned=False)
