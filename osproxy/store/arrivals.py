"""
What is remembered while not all entries are listed yet.
"""

from __future__ import annotations

from attrs import define, field


@define(eq=False)
class Arrivals:
    """
    What has happened since the list was begun, which it does not know of.

    :ivar gone: numbers that must not come back.
    :ivar looked_up: keys of which all that there is has been listed.
    :ivar forgotten: keys of which nothing may come back.
    :ivar used: in the order of use: what is listed later was used before.
    """

    gone: set[int] = field(init=False, factory=set)
    looked_up: set[int] = field(init=False, factory=set)
    forgotten: set[int] = field(init=False, factory=set)
    used: dict[int, None] = field(init=False, factory=dict)
