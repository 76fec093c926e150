"""
Names remembered for a while, and at most so many of them.

Absent files, failed refreshes and files that outgrew the cache are remembered this way: in memory
only, so that a restart forgets them, and bounded, so that a flood of made-up names costs nothing.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class Memory(Generic[_K, _V]):
    """
    A mapping that forgets each value ``lifetime`` seconds after it was put in, if not before.

    With more than ``limit`` names it forgets the oldest.
    """

    def __init__(self, limit: int, lifetime: float) -> None:
        self._limit = limit
        self._lifetime = lifetime
        self._kept: OrderedDict[_K, tuple[float, float, _V]] = OrderedDict()

    def get(self, name: _K, now: float) -> _V | None:
        """Return what is remembered of ``name``, None when nothing is."""
        kept = self._kept.get(name)
        if kept is None:
            return None
        since, lifetime, value = kept
        # A clock set back must not make a memory outlive its time.
        if not 0 <= now - since < lifetime:
            del self._kept[name]
            return None
        return value

    def put(self, name: _K, value: _V, now: float, at_most: float = math.inf) -> None:
        """Remember ``value`` from ``now`` on, for ``at_most`` so many seconds."""
        self._kept.pop(name, None)
        self._kept[name] = (now, min(self._lifetime, at_most), value)
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def forget(self, name: _K) -> None:
        """Remember nothing of ``name``."""
        self._kept.pop(name, None)

    def __len__(self) -> int:
        """Count the names, those included whose time is over but which nobody asked for."""
        return len(self._kept)
