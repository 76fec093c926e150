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
    :ivar gone: numbers that must not come back.
    :ivar looked_up: keys of which all that there is has been listed.
    :ivar forgotten: keys of which nothing may come back.
    :ivar replaced: what was stored anew: no older one may come back, even if that goes.
    :ivar used: in the order of use: what is listed later was used before.
    """

    _first_id: int
    gone: set[int] = field(init=False, factory=set)
    looked_up: set[int] = field(init=False, factory=set)
    forgotten: set[int] = field(init=False, factory=set)
    replaced: set[Target] = field(init=False, factory=set)
    used: dict[int, None] = field(init=False, factory=dict)

    def is_earlier(self, number: int) -> bool:
        """Whether a file is of an earlier run."""
        return number < self._first_id

    def outdated(self, record: Record) -> bool:
        """Whether what was found of an earlier run is older than what was stored since."""
        return self.is_earlier(record.id) and record.target in self.replaced
