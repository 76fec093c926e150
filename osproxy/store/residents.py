"""
Entries in memory: those that anybody holds, and the last that were used.

There is never more than one of a file: what one who holds it changes, all see.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from osproxy.store.entries import Entry

#: Entries that stay in memory though nobody holds them; with their heads some 1.5 KiB each.
RECENT = 20_000


class Residents:
    """
    What is in memory, by the numbers of files.

    :param most: how many entries stay in memory that nobody holds.
    """

    def __init__(self, most: int = RECENT) -> None:
        self._most = most
        self._held: WeakValueDictionary[int, Entry] = WeakValueDictionary()
        self._recent: OrderedDict[int, Entry] = OrderedDict()

    def get(self, number: int) -> Entry | None:
        """Give the entry of a file, if it is in memory."""
        return self._held.get(number)

    def add(self, entry: Entry) -> Entry:
        """Take an entry in, for as long as somebody holds it."""
        self._held[entry.id] = entry
        return entry

    def use(self, entry: Entry) -> Entry:
        """Keep an entry a while longer than it is held."""
        self._recent[entry.id] = entry
        self._recent.move_to_end(entry.id)
        if len(self._recent) > self._most:
            self._recent.popitem(last=False)
        return entry

    def let_go(self, number: int) -> None:
        """Keep an entry no longer than it is held."""
        self._recent.pop(number, None)

    def forget(self, number: int) -> Entry | None:
        """Know an entry no more, and give it to whoever has something to tell it."""
        self.let_go(number)
        return self._held.pop(number, None)
