"""
What clients' requests may have changed at an upstream while it was being fetched.

A fill that was begun before such a request must not bring back what that has changed (RFC 9111
section 4.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osproxy.cache.memory import Memory

if TYPE_CHECKING:
    from osproxy.model import Target

# No fill takes longer.
_REMEMBERED_FOR = 24 * 3600.0
_NAMES = 10_000


class Changes:
    """Knows which fills were overtaken by a change."""

    def __init__(self) -> None:
        self._count = 0
        self._latest: Memory[Target, int] = Memory(_NAMES, _REMEMBERED_FOR)
        # How many changes there had been when a fill was begun.
        self._before: dict[Target, int] = {}

    def begun(self, fill: Target) -> None:
        """Note that a fill was begun, by its target."""
        self._before[fill] = self._count

    def ended(self, fill: Target) -> None:
        """Note that it has ended."""
        del self._before[fill]

    def changed(self, target: Target, now: float) -> None:
        """Note that what a target is may have been changed."""
        self._count += 1
        self._latest.put(target, self._count, now)

    def overtook(self, fill: Target, target: Target, now: float) -> bool:
        """
        Whether a target, whatever its variant, was changed since a fill of it was begun.

        So it was if somebody else has begun it: before a reload it may have been another backend's.
        """
        before = self._before.get(fill)
        return before is None or (self._latest.get(target, now) or 0) > before
