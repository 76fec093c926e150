"""
What is written down later: uses and confirmations of entries, and what was asked for in vain.

A hit writes nothing. What it changes is collected here and goes to the catalogue in batches; a
crash loses the last few seconds of it, which is no more than a slightly older order of use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.store.blobs import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.store.admission import WonderGuard
    from osproxy.store.catalogue import Catalogue
    from osproxy.store.entries import Entry


@define(eq=False)
class Notes:
    """
    What the catalogue does not know yet.

    :param hotness: says what of an entry's standing is to outlive the process.
    """

    _catalogue: Catalogue
    _hotness: Callable[[int], int]
    _guard: WonderGuard
    # In the order of use.
    _used: dict[int, None] = field(init=False, factory=dict)
    _checked: dict[int, Entry] = field(init=False, factory=dict)

    def used(self, entry: Entry) -> None:
        """Note a use."""
        self._used.pop(entry.id, None)
        self._used[entry.id] = None

    def checked(self, entry: Entry) -> None:
        """Note that the entry was confirmed."""
        self._checked[entry.id] = entry

    def forget(self, number: int) -> None:
        """Note nothing of an entry that is going."""
        self._used.pop(number, None)
        self._checked.pop(number, None)

    async def write_down(self, now: float) -> None:
        """Write what was noted; but for uses, what cannot be written is kept for the next time."""
        await self._write_asked(now)
        if not self._used and not self._checked:
            return
        # Apart by a microsecond, so that the order within one batch outlives the process.
        used = {
            number: (now + place * 1e-6, self._hotness(number))
            for place, number in enumerate(self._used)
        }
        checked = self._checked
        self._used = {}
        self._checked = {}
        try:
            await self._catalogue.note(
                used, {number: (entry.checked_at, entry.head) for number, entry in checked.items()}
            )
        except BaseException:
            live = {number: e for number, e in checked.items() if e.state is State.LIVE}
            self._checked = {**live, **self._checked}
            raise

    async def _write_asked(self, now: float) -> None:
        asked = self._guard.unwritten()
        if not asked:
            return
        try:
            await self._catalogue.note_asked(asked, self._guard.horizon(now))
        except BaseException:
            self._guard.put_back(asked)
            raise
