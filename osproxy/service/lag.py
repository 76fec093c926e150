"""
How late the reactor is: what takes it long makes every client wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

LOOK_EVERY = 1.0


@define(eq=False)
class Lag:
    """
    Has itself called once a second, and sees when that really is.

    :param late: is told by how many seconds it was late.
    """

    _clock: IReactorTime
    _late: Callable[[float], None]
    _due: IDelayedCall | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin to look."""
        expected = self._clock.seconds() + LOOK_EVERY
        self._due = self._clock.callLater(LOOK_EVERY, self._look, expected)

    def stop(self) -> None:
        """Look no more."""
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _look(self, expected: float) -> None:
        # A clock that was set back is no hurry.
        self._late(max(0.0, self._clock.seconds() - expected))
        self.start()
