"""
What is remembered while not all entries are listed yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from osproxy.model import Target
    from osproxy.store.records import Record


@define(eq=False)
class Arrivals:
    """
    What has happened since the list was begun, which it does not know of.

    :param first_id: the least number of a file of this run.
    :ivar over: whether all is listed: then nothing is remembered any more.
    """

    _first_id: int
    over: bool = field(init=False, default=False)
    _gone: set[int] = field(init=False, factory=set)
    _looked_up: set[int] = field(init=False, factory=set)
    _forgotten: set[int] = field(init=False, factory=set)
    _replaced: set[Target] = field(init=False, factory=set)
    _used: dict[int, None] = field(init=False, factory=dict)

    def end(self) -> list[int]:
        """Note that all is listed, and name what was used meanwhile, in the order of use."""
        used = list(self._used)
        for memory in (self._gone, self._looked_up, self._forgotten, self._replaced, self._used):
            memory.clear()
        self.over = True
        return used

    def awaited(self, number: int) -> bool:
        """Whether the list may still bring a file: it must not bring back what is gone."""
        return not (self.over or number in self._gone)

    def may_come(self, number: int) -> bool:
        """Whether a file is of an earlier run of which more may come."""
        return not self.over and number < self._first_id

    def listed(self, key: int) -> bool:
        """Whether all that there is of a key has been listed."""
        return self.over or key in self._looked_up

    def forgotten(self, key: int) -> bool:
        """Whether nothing of a key may come back."""
        return key in self._forgotten

    def outdated(self, record: Record) -> bool:
        """Whether what was found is of an earlier run, and older than what was stored since."""
        return self.may_come(record.id) and record.target in self._replaced

    def go(self, number: int) -> None:
        """Let a file not come back."""
        if not self.over:
            self._gone.add(number)

    def look_up(self, key: int) -> None:
        """Note that all of a key has been listed."""
        if not self.over:
            self._looked_up.add(key)

    def forget(self, key: int) -> None:
        """Let nothing of a key come back."""
        if not self.over:
            self._forgotten.add(key)

    def replace(self, target: Target) -> None:
        """Note what was stored anew: nothing older may come back, even if that goes."""
        if not self.over:
            self._replaced.add(target)

    def use(self, number: int) -> None:
        """Note a use: what is listed later was used before."""
        if not self.over:
            self._used.pop(number, None)
            self._used[number] = None
