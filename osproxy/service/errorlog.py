"""
What osproxy says of itself: where that goes, in which form, and how much of it.

Where ``--error-log`` names no place, the options of twistd or twist do (``--logfile``,
``--syslog``); where these name none either, and would have it beside the access log on standard
output, it goes to standard error (`osproxy.tap`). A line has time, module, level and text, and a
traceback follows in lines of its own. What goes to the journal has its level there as a priority:
by the journal's own protocol, or, on a standard error that is connected to the journal, by a number
in front of each line (sd-daemon(3)).
"""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.internet.task import deferLater
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    formatEventAsClassicLogText,
    globalLogBeginner,
)
from zope.interface import implementer

from osproxy.journal import SOCKET, Journal, datagram
from osproxy.web.logfile import LAST_OFFERS, OFFER_AGAIN, STDERR, Output, open_file, takes_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from twisted.internet.interfaces import IReactorTime
    from twisted.logger import LogBeginner, LogEvent

MOST_WAITING = 1_000
"""Entries that wait at most, tracebacks among them."""

# Those of syslog(3).
_PRIORITIES = {
    LogLevel.critical: 2,
    LogLevel.error: 3,
    LogLevel.warn: 4,
    LogLevel.info: 6,
    LogLevel.debug: 7,
}


def _priority(event: LogEvent) -> int:
    return _PRIORITIES[event.get("log_level", LogLevel.info)]


def _line(event: LogEvent) -> bytes:
    """Give a line of a file or of standard error; a traceback adds further ones."""
    return (formatEventAsClassicLogText(event) or "").encode("utf-8", "backslashreplace")


def _numbered(event: LogEvent) -> bytes:
    """Give a line of a stream that the service manager hands to the journal."""
    text = eventAsText(event, includeTimestamp=False)
    lines = (f"<{_priority(event)}>{line}\n" for line in text.splitlines())
    return "".join(lines).encode("utf-8", "backslashreplace")


def _entry(event: LogEvent) -> bytes:
    """Give an entry of the journal."""
    return datagram(
        [
            ("MESSAGE", eventAsText(event, includeTimestamp=False, includeSystem=False)),
            ("PRIORITY", str(_priority(event))),
            ("SYSLOG_IDENTIFIER", "osproxy"),
            ("OSPROXY_MODULE", str(event.get("log_namespace", "-"))),
        ]
    )


def open_errors(
    where: str | None, environ: Mapping[str, str] = os.environ, journal: Path = SOCKET
) -> Output[LogEvent] | None:
    """
    Open what ``--error-log`` names: a file to append to, ``-`` for standard error, or ``journald``.

    :raises OSError: when the file cannot be had.
    """
    if where is None:
        return None
    if where == "journald":
        return Output(Journal(journal), _entry)
    numbered = where == "-" and _is_journal(STDERR, environ)
    return Output(open_file(where, STDERR), _numbered if numbered else _line)


def _is_journal(stream: int, environ: Mapping[str, str]) -> bool:
    """Whether a stream is the one that systemd has said to be the journal's (systemd.exec(5))."""
    try:
        found = os.fstat(stream)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


@implementer(ILogObserver)
@define(eq=False)
class ErrorLog:
    """
    The one observer of the log; threads log as well.

    Entries are written at once. What is not taken waits, is offered again until it is, and lost
    beyond a bound.

    :ivar others: those that it stands in for, and hands on to while it has no place of its own.
    :param call_from_thread: has the reactor call a function soon.
    :param lost: is told how many entries were lost.
    """

    _output: Output[LogEvent] | None
    _clock: IReactorTime
    _call_from_thread: Callable[[Callable[[], None]], object]
    _lost: Callable[[int], None]
    others: tuple[ILogObserver, ...] = field(default=(), init=False)
    _lock: Lock = field(factory=Lock, init=False)
    _entries: list[bytes] = field(factory=list, init=False)
    _offering: bool = field(default=False, init=False)

    def __call__(self, event: LogEvent) -> None:
        """See `twisted.logger.ILogObserver`."""
        with self._lock:
            output = self._output
            if output is not None:
                self._add(output, event)
        if output is None:
            for other in self.others:
                other(event)

    def change(self, output: Output[LogEvent] | None) -> None:
        """
        Write later events to another place, and close the one before.

        What that one does not take now is lost, unless the other is of the same kind.
        """
        with self._lock:
            self._write()
            old, self._output = self._output, output
            if not takes_over(old, output):
                self._lose()
        if old is not None:
            old.sink.close()

    async def end(self) -> None:
        """Wait a while for what is left to be taken; later events may still come."""
        for _ in range(LAST_OFFERS):
            if not self._entries:
                break
            await deferLater(self._clock, OFFER_AGAIN)

    def _add(self, output: Output[LogEvent], event: LogEvent) -> None:
        if len(self._entries) >= MOST_WAITING:
            self._lost(1)
        elif entry := output.form(event):
            self._entries.append(entry)
        self._write()
        if self._entries and not self._offering:
            self._offering = True
            self._call_from_thread(self._wait)

    def _wait(self) -> None:
        self._clock.callLater(OFFER_AGAIN, self._offer)

    def _offer(self) -> None:
        with self._lock:
            self._write()
            self._offering = bool(self._entries)
        if self._offering:
            self._wait()

    def _write(self) -> None:
        if self._output is None or not self._entries:
            return
        try:
            del self._entries[: self._output.sink.write(self._entries)]
        except OSError:
            # There is nobody left to tell.
            self._lose()

    def _lose(self) -> None:
        if self._entries:
            self._lost(len(self._entries))
            self._entries.clear()


def take_over(
    errors: ErrorLog, level: str, beginner: LogBeginner = globalLogBeginner
) -> Callable[[str], None]:
    """
    Have the log that is about to begin go to ``errors``, without what is below ``level``.

    To be called before logging begins. `twistd` has no option for the level, and an observer cannot
    be changed once it was handed over, so the handing over is where both go in.

    :param level: a name of Twisted's.
    :returns: a function that sets another level, at any time.
    """
    begin = beginner.beginLoggingTo
    wanted = LogLevelFilterPredicate(LogLevel.levelWithName(level))

    def begin_here(observers: Iterable[ILogObserver], *options: Any, **more: Any) -> None:
        errors.others = tuple(observers)
        begin([FilteringLogObserver(errors, [wanted])], *options, **more)

    beginner.beginLoggingTo = begin_here  # type: ignore[method-assign]

    def change(other: str) -> None:
        wanted.setLogLevelForNamespace("", LogLevel.levelWithName(other))

    return change
