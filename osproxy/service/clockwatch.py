"""
A clock that is set back, and what is due all the same.

The reactor notes by the machine's clock when something is due. Where that is set back by an hour,
all of it waits for an hour more: time-outs, logs, and what shows the watchdog that we are alive,
which then ends us. No timer can notice, but a thread does, whose waiting goes by another clock.
"""

from __future__ import annotations

import time
from threading import Event, Thread
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

LOOK_EVERY = 2.0
"""Seconds from one look to the next."""

# What is less may as well be waited for. It is more than passes between two looks.
_TOLERATED = 10.0

_log = Logger()


@define(eq=False)
class ClockWatch:
    """
    Looks whether the clock was set back, and has what waits not wait for longer by that.

    :param call_from_thread: has the reactor call a function soon.
    :param monotonic: tells the time by a clock that nobody sets.
    """

    _clock: IReactorTime
    _call_from_thread: Callable[[Callable[[], None]], object]
    _monotonic: Callable[[], float] = time.monotonic
    _every: float = LOOK_EVERY
    _ahead: float = field(default=0.0, init=False)
    _over: Event = field(factory=Event, init=False)

    def start(self) -> None:
        """Begin to look."""
        self._ahead = self._clock.seconds() - self._monotonic()
        # It has nothing that could be lost.
        Thread(target=self._look_in_turn, name="osproxy-clock", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def look(self) -> None:
        """Put right what waits, if the clock was set back since the last look."""
        now = self._clock.seconds()
        before, self._ahead = self._ahead, now - self._monotonic()
        back = before - self._ahead
        if back < _TOLERATED:
            return
        _log.warn("the clock was set back by {back:.0f} s", back=back)
        for call in self._clock.getDelayedCalls():
            wait = call.getTime() - now - back
            # What is overdue by so much has begun to wait since, by the clock as it is now.
            if wait > -back / 2:
                call.reset(max(0.0, wait))

    def _look_in_turn(self) -> None:
        while not self._over.wait(self._every):
            self._call_from_thread(self.look)
