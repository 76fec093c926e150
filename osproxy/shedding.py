"""
What is refused because there is too much of it: counted each time, and said once a minute.

Under load the same thing is refused again and again. One line tells the operator as much as a
thousand do, and writing a thousand would be load of its own.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.logger import Logger

from osproxy.seldom import Seldom

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from osproxy.tallies import Tally

RETRY_AFTER = 5
"""Seconds after which who is refused may as well come again, where nothing better is known."""

# Seconds between two lines that say the same.
_SILENCE = 60.0


class Reason(Enum):
    """Why something is refused; the value is the label of the counter."""

    CLIENT_CONNECTIONS = "client-connections"
    CONNECTIONS = "connections"
    CLIENT_REQUESTS = "client-requests"
    REQUESTS = "requests"
    UPSTREAM = "upstream"
    DESCRIPTORS = "descriptors"
    PROXY_HEADER = "proxy-header"


_SAID = {
    Reason.CLIENT_CONNECTIONS: "{subject} has its connections and gets no more",
    Reason.CONNECTIONS: "all connections are taken: {subject}",
    Reason.CLIENT_REQUESTS: "{subject} asks more often than a client may",
    Reason.REQUESTS: "more is asked than may be in all, {subject} among others",
    Reason.UPSTREAM: "{subject} is asked as much as it may be at once",
    Reason.DESCRIPTORS: "file descriptors run out: {subject}",
    Reason.PROXY_HEADER: "a connection without its PROXY header is cut: {subject}",
}


@define(eq=False)
class Shedding:
    """
    What was refused.

    :param counter: of all of it, by `Reason`.
    """

    _log = Logger()

    _clock: IReactorTime
    _counter: Tally
    _seldom: Seldom[Reason] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Count from nothing: an alert sees what increases, not what appears."""
        self._seldom = Seldom(_SILENCE, self._clock)
        for reason in Reason:
            self._counter.add((reason.value,), 0)

    def shed(self, reason: Reason, subject: str) -> None:
        """Count a refusal, and say it unless the same was said within the last minute."""
        self._counter.add((reason.value,))
        unsaid = self._seldom.unsaid(reason)
        if unsaid is None:
            return
        text = _SAID[reason] + ("; {unsaid} were refused unsaid before" if unsaid else "")
        self._log.warn(text, subject=subject, unsaid=unsaid, reason=reason.value)
