"""
What happens again and again is said now and then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import define, field

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

_K = TypeVar("_K")


@define(eq=False)
class Seldom(Generic[_K]):
    """
    Keeps count of what is not said.

    :param silence: seconds between two lines that say the same.
    """

    _silence: float
    _clock: IReactorTime
    _said: dict[_K, float] = field(init=False, factory=dict)
    _unsaid: dict[_K, int] = field(init=False, factory=dict)

    def unsaid(self, kind: _K) -> int | None:
        """
        Say how often a thing has happened unsaid before; None if it is to be silent this time, too.
        """
        now, said = self._clock.seconds(), self._said.get(kind)
        # A clock that was set back must not keep it silent.
        if said is not None and 0 <= now - said < self._silence:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return None
        self._said[kind] = now
        return self._unsaid.pop(kind, 0)
