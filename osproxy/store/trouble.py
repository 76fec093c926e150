"""
What the disk refuses: counted each time, and said now and then.

A disk that is full, read-only or broken refuses the same thing again and again, at every request.
One line tells the operator as much as a thousand do.
"""

from __future__ import annotations

import sqlite3
from enum import Enum
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.logger import Logger

from osproxy.seldom import Seldom

if TYPE_CHECKING:
    from prometheus_client import Counter
    from twisted.internet.interfaces import IReactorTime

#: What is raised when it is the disk's fault, and no bug.
DISK_ERRORS = (OSError, sqlite3.Error)

# Seconds between two lines that say the same.
_SILENCE = 600.0


class Work(Enum):
    """What was tried; the value is the label of the counter."""

    KEEP = "keep"
    READ = "read"
    REMOVE = "remove"
    CATALOGUE = "catalogue"
    ROWS = "rows"
    LOOK = "look"
    DIRECTORY = "directory"
    SYNC = "sync"
    VERIFY = "verify"


_SAID = {
    Work.KEEP: "{subject} is passed through: {error}",
    Work.READ: "{subject} is lost: {error}",
    Work.REMOVE: "{subject} cannot be removed: {error}",
    Work.CATALOGUE: "the catalogue of {subject} cannot be written: {error}",
    Work.ROWS: "the rows of {subject} cannot be read: {error}",
    Work.LOOK: "{subject} cannot be looked at: {error}",
    Work.SYNC: "the files of {subject} cannot be synced: {error}",
    Work.VERIFY: "{subject} cannot be verified: {error}",
    Work.DIRECTORY: "cache directory {subject}: {error}",
}
_SAID_AGAIN = "; {unsaid} others of the kind were not said"


@define(eq=False)
class Trouble:
    """
    What was refused.

    :param counter: of all of it, by `Work`.
    """

    _log = Logger()

    _clock: IReactorTime
    _counter: Counter
    _seldom: Seldom[tuple[Work, str]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Count from nothing: an alert sees what increases, not what appears."""
        self._seldom = Seldom(_SILENCE, self._clock)
        for work in Work:
            self._counter.labels(work.value)

    def met(self, work: Work, error: Exception, subject: object) -> None:
        """Count, and say unless the same was said a short while ago."""
        self._counter.labels(work.value).inc()
        unsaid = self._seldom.unsaid((work, _kind_of(error)))
        if unsaid is None:
            return
        text = _SAID[work] + (_SAID_AGAIN if unsaid else "")
        self._log.error(text, subject=subject, error=error, unsaid=unsaid)


def _kind_of(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return f"{type(error).__name__} {number}"
