"""
How much of the log is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.logger import ILogObserver, LogBeginner


def limit(level: str, beginner: LogBeginner = globalLogBeginner) -> Callable[[str], None]:
    """
    Have the log that is about to begin leave out what is below ``level``, a name of Twisted's.

    To be called before logging begins. `twistd` has no option for it, and an observer cannot be
    changed once it was handed over, so the handing over is where the filter goes in.

    :returns: a function that sets another level, at any time.
    """
    begin = beginner.beginLoggingTo
    wanted = LogLevelFilterPredicate(LogLevel.levelWithName(level))

    def begin_limited(observers: Iterable[ILogObserver], *options: Any, **more: Any) -> None:
        begin(
            [FilteringLogObserver(observer, [wanted]) for observer in observers], *options, **more
        )

    beginner.beginLoggingTo = begin_limited  # type: ignore[method-assign]

    def change(other: str) -> None:
        wanted.setLogLevelForNamespace("", LogLevel.levelWithName(other))

    return change
