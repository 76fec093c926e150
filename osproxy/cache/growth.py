"""
How far a file has grown: what its readers may have of it, and who waits for more.

The end of a file that is known by its digest is held back until that is right, so that nobody takes
a wrong file for a whole one (B1). All the rest may be had as soon as it has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.model import BodyBroken, BodyDiverted
from osproxy.waiting import OffsetWaiters

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from osproxy.model import PassingBody

    Onward = Callable[[int, int | None], Awaitable[PassingBody]]


@define(eq=False)
class Growth:
    """
    The growth of one file, from its first octet to its end, or to where it ends too early.

    :param held_back: octets at its end that nobody gets before it is `complete`.
    :ivar length: octets in all, None while unknown.
    :ivar written: octets that have come.
    :ivar available: octets from the start that readers may have.
    """

    _held_back: int
    length: int | None = field(init=False, default=None)
    written: int = field(init=False, default=0)
    available: int = field(init=False, default=0)
    _broken: str | None = field(init=False, default=None)
    _onward: Onward | None = field(init=False, default=None)
    _waiting: OffsetWaiters = field(init=False, factory=OffsetWaiters)

    @property
    def whole(self) -> bool:
        """Whether all octets have come, right or wrong."""
        return self.written == self.length

    def grew(self, written: int) -> None:
        """Let readers have what has come, and those go on who waited for it."""
        self.written = available = written
        if self._held_back:
            whole = written if self.length is None else self.length
            available = min(written, whole - self._held_back)
        if available > self.available:
            self.available = available
            self._waiting.passed(available)

    def complete(self) -> None:
        """Let readers have all that has come: this is the file."""
        self.length = self.available = self.written
        self._waiting.end()

    def break_off(self, why: str) -> None:
        """Have it told to all who want more that this will not come."""
        self._broken = why
        self._waiting.end()

    def divert(self, onward: Onward) -> None:
        """Send all who want more to where the rest is to be had."""
        self._onward = onward
        self._waiting.end()

    async def wait(self, position: int) -> bool:
        """See `osproxy.model.FileBody.wait`."""
        while self.available <= position:
            if self._broken is not None:
                raise BodyBroken(self._broken)
            if self.length is not None and position >= self.length:
                return False
            if self._onward is not None:
                raise BodyDiverted(self._onward)
            await self._waiting.wait(position)
        return True
