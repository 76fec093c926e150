"""
Files that stay open for a while after their last reader, so that the next need not wait for it.

To open a file takes a thread, and a thread costs more than to send a small file. Those that were
used last stay open, so many of them; they are closed when others come, when they are taken out of
sight, and at the end. Large ones do not: beside what it takes to send them the thread is nothing,
and what somebody deletes by hand is to be free soon.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

LARGEST = 256 << 10
"""Octets of a file that stays open, its header included."""


class Closable(Protocol):
    """What stays open."""

    def let_go(self) -> None:
        """Close it."""


class OpenFiles:
    """
    Those that are open and have no reader.

    :param most: how many there are at most.
    """

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self._idle: OrderedDict[Closable, None] = OrderedDict()

    def __len__(self) -> int:
        """Count them."""
        return len(self._idle)

    def __contains__(self, file: Closable) -> bool:
        """Whether a file is among them."""
        return file in self._idle

    def keep(self, file: Closable) -> None:
        """Keep a file open, as the one that was used last."""
        self._idle[file] = None
        self._idle.move_to_end(file)
        if len(self._idle) > self._most:
            self._idle.popitem(last=False)[0].let_go()

    def forget(self, file: Closable) -> bool:
        """Leave a file to others, and say whether it was among them."""
        if file not in self._idle:
            return False
        del self._idle[file]
        return True

    def close(self) -> None:
        """Close them all, and from now on whatever is to be kept."""
        self._most = 0
        while self._idle:
            self._idle.popitem(last=False)[0].let_go()
