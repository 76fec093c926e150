"""
What osproxy says of itself: where that goes, and in which form.

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
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, field, frozen
from twisted.logger import (
    ILogObserver,
    LogLevel,
    eventAsText,
    formatEventAsClassicLogText,
    globalLogBeginner,
)
from zope.interface import implementer

from osproxy.journal import SOCKET, Journal, datagram
from osproxy.web.logfile import STDERR, open_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from twisted.logger import LogBeginner, LogEvent

    from osproxy.web.logfile import LogFile

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


class Output(Protocol):
    """Where events go."""

    def write(self, event: LogEvent) -> bool:
        """
        Write an event, and say whether it was taken.

        :raises OSError: when it cannot be.
        """

    def close(self) -> None:
        """Write no more."""


@frozen(eq=False)
class InFile:
    """Events are lines of a file, or of standard error."""

    _file: LogFile

    def write(self, event: LogEvent) -> bool:
        """See `Output`."""
        text = formatEventAsClassicLogText(event)
        if text:
            self._file.write(text.encode("utf-8", "backslashreplace"))
        return True

    def close(self) -> None:
        """See `Output`."""
        self._file.close()


@frozen(eq=False)
class InStream:
    """Events are lines of a stream that the service manager hands to the journal."""

    _file: LogFile

    def write(self, event: LogEvent) -> bool:
        """See `Output`."""
        text = eventAsText(event, includeTimestamp=False)
        lines = (f"<{_priority(event)}>{line}\n" for line in text.splitlines())
        self._file.write("".join(lines).encode("utf-8", "backslashreplace"))
        return True

    def close(self) -> None:
        """See `Output`."""
        self._file.close()


@frozen(eq=False)
class InJournal:
    """Events are entries of the journal."""

    _journal: Journal

    def write(self, event: LogEvent) -> bool:
        """See `Output`."""
        return self._journal.send(
            datagram(
                [
                    ("MESSAGE", eventAsText(event, includeTimestamp=False, includeSystem=False)),
                    ("PRIORITY", str(_priority(event))),
                    ("SYSLOG_IDENTIFIER", "osproxy"),
                    ("OSPROXY_MODULE", str(event.get("log_namespace", "-"))),
                ]
            )
        )

    def close(self) -> None:
        """See `Output`."""
        self._journal.close()


def open_errors(
    where: str | None, environ: Mapping[str, str] = os.environ, journal: Path = SOCKET
) -> Output | None:
    """
    Open what ``--error-log`` names: a file to append to, ``-`` for standard error, or ``journald``.

    :raises OSError: when the file cannot be had.
    """
    if where is None:
        return None
    if where == "journald":
        return InJournal(Journal(journal))
    file = open_file(where, STDERR)
    return InStream(file) if where == "-" and _is_journal(STDERR, environ) else InFile(file)


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

    :ivar others: those that it stands in for, and hands on to while it has no place of its own.
    :param lost: is told of each event that could not be written.
    """

    _output: Output | None
    _lost: Callable[[int], None]
    others: tuple[ILogObserver, ...] = field(default=(), init=False)
    _lock: Lock = field(factory=Lock, init=False)

    def __call__(self, event: LogEvent) -> None:
        """See `twisted.logger.ILogObserver`."""
        with self._lock:
            output = self._output
            if output is not None:
                self._write(output, event)
        if output is None:
            for other in self.others:
                other(event)

    def change(self, output: Output | None) -> None:
        """Write later events to another place, and close the one before."""
        with self._lock:
            old, self._output = self._output, output
        if old is not None:
            old.close()

    def _write(self, output: Output, event: LogEvent) -> None:
        try:
            taken = output.write(event)
        except OSError:
            # There is nobody left to tell.
            taken = False
        if not taken:
            self._lost(1)


def take_over(errors: ErrorLog, beginner: LogBeginner = globalLogBeginner) -> None:
    """
    Have the log that is about to begin go to ``errors`` instead.

    To be called before logging begins; see `osproxy.service.loglevel.limit`.
    """
    begin = beginner.beginLoggingTo

    def begin_here(observers: Iterable[ILogObserver], *options: Any, **more: Any) -> None:
        errors.others = tuple(observers)
        begin([errors], *options, **more)

    beginner.beginLoggingTo = begin_here  # type: ignore[method-assign]
