"""
The one ordered stop, and the signals that ask for it, or for a reload.

Twisted stops the parts of a service all at once; here one step waits for the one before, so that
a body under way still finds its file, and the catalogue closes after the last who uses it.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType
    from typing import Any

    from twisted.internet.interfaces import IReactorTime

_log = Logger()


@frozen
class Step:
    """
    A part of the stop.

    :ivar name: what it does, for the log.
    :ivar do: begins it; what it returns, a Deferred or a coroutine, is waited for.
    :ivar limit: seconds after which it is cancelled and the next one begins.
    """

    name: str
    do: Callable[[], Any]
    limit: float | None = None


class Shutdown(Service):
    """
    Does the steps in order when the service is stopped.

    A step that fails or runs out of time is logged, and the next one begins: the last ones keep
    what is on disk in order.
    """

    name = "shutdown"

    def __init__(self, steps: Sequence[Step], clock: IReactorTime) -> None:
        self._steps = steps
        self._clock = clock

    def stopService(self) -> Deferred[None]:
        """Fire once the last step is done."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for step in self._steps:
            _log.debug("stopping: {step}", step=step.name)
            doing = maybeDeferred(step.do)
            if step.limit is not None:
                doing.addTimeout(step.limit, self._clock)
            try:
                await doing
            except (TimedOut, CancelledError):
                _log.warn("stopping: {step} took too long", step=step.name)
            except Exception:
                _log.failure("stopping: {step} failed", step=step.name)


@define(eq=False)
class SignalHandlers:
    """
    Turns SIGTERM and SIGINT into a stop with exit status 0; a second one ends the process at once.

    Twisted's own handlers stop as well, but then end the process by the signal, with status 143.
    SIGHUP asks for a reload, as of daemons everywhere. So does SIGUSR1, by which nginx has its logs
    opened anew, unless twistd has a use for it: as it is, it would end the process.

    :ivar call_from_thread: wakes the reactor and has it call a function.
    :ivar stop: stops the reactor.
    :ivar reload: begins a reload.
    :ivar leave: ends the process at once, with the given status.
    """

    call_from_thread: Callable[[Callable[[], object]], object]
    stop: Callable[[], object]
    reload: Callable[[], object]
    leave: Callable[[int], object] = os._exit
    _asked: bool = field(default=False, init=False)

    def install(self) -> None:
        """Take the signals over; to be called by `callWhenRunning`, after Twisted took them."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.received)
        self.install_reload()

    def install_reload(self) -> None:
        """Take over those alone that Twisted leaves to us."""
        signal.signal(signal.SIGHUP, self.asked_to_reload)
        if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
            signal.signal(signal.SIGUSR1, self.asked_to_reload)

    def asked_to_reload(self, number: int, frame: FrameType | None = None) -> None:
        """Reload, unless all ends anyway."""
        if not self._asked:
            self.call_from_thread(self.reload)

    def received(self, number: int, frame: FrameType | None = None) -> None:
        """Stop; if that was asked for before, do not wait for it."""
        if self._asked:
            # As a shell reports a process that a signal ended: this stop was not an ordered one.
            self.leave(128 + number)
            return
        self._asked = True
        self.call_from_thread(self._stop)

    def _stop(self) -> None:
        _log.info("asked to stop")
        try:
            self.stop()
        except ReactorNotRunning:
            # Something else has stopped it in the meantime.
            _log.debug("stopping already")
