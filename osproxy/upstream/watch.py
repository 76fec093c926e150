"""
The time that an upstream has: to connect, and to answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall
    from twisted.web.iweb import IResponse


class TookTooLong(Exception):
    """
    An upstream did not connect, take a request, or answer in time; the text says which.

    :ivar reason: a short label, for counting.
    """

    def __init__(self, what: str, seconds: float, reason: str = "timeout") -> None:
        super().__init__(f"{what} within {seconds:g} s")
        self.reason = reason


class Watch:
    """
    Gives an upstream its time to connect, and then its time to answer.

    :ivar answered: what is cancelled when the time is over.
    """

    def __init__(self, clock: Any, connect_timeout: float, head_timeout: float) -> None:
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._head_timeout = head_timeout
        self._why: Failure | None = None
        self._call: IDelayedCall | None = None
        self.answered: Deferred[IResponse] | None = None

    def connecting(self) -> None:
        """Give the time to connect from now, also when it is a second connection."""
        self._await(self._connect_timeout, "did not connect")

    def sending(self) -> None:
        """Give any time: who sends a body watches over it."""
        self._cancel()

    def sent(self) -> None:
        """Give the time to answer from now."""
        self._await(self._head_timeout, "did not answer")

    def ended(self, result: IResponse | Failure) -> IResponse | Failure:
        """Stop watching; say so if it was we who ended it."""
        self._cancel()
        return result if self._why is None else self._why

    def give_up(self, why: Failure) -> None:
        """End the question; whatever that looks like further down, this is why."""
        self._cancel()
        self._why = why
        if self.answered is not None:
            self.answered.cancel()

    def _await(self, seconds: float, what: str) -> None:
        self._cancel()
        self._call = self._clock.callLater(seconds, self._too_late, what, seconds)

    def _too_late(self, what: str, seconds: float) -> None:
        self._call = None
        self.give_up(Failure(TookTooLong(what, seconds)))

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()
        self._call = None
