"""
One line a request, in the combined format and four fields more.

Client, time, request line, status, octets of body, referer and user agent stand as in that format;
then come how the cache answered, the host that the body once came from, the seconds to the first
octet of the response, and those to its last. What is not known is ``-``.

The status is the one that was sent, or 499 where the client left first. Where the rest of a body
could not be had, so that we broke the connection, ``; cut`` stands behind how the cache answered.
Of what was no HTTP/1 request nothing is known but the client, the time and the status.
"""

from __future__ import annotations

import re
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from attrs import define, field, frozen
from twisted.logger import Logger

if TYPE_CHECKING:
    from typing import TextIO

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

_log = Logger()

FLUSH_EVERY = 1.0

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_UNSAFE = re.compile(r"[^ !#-\[\]-~]")


@frozen
class Record:
    """
    What is said of a request. Texts are as the client or a source sent them, and may be hostile.

    :ivar at: when the request came, seconds since the epoch.
    :ivar sent: octets of the body that were handed to the client.
    :ivar source: host that the body came from, None if it is our own.
    :ivar first: seconds to the first octet of the response, None if none was sent.
    :ivar total: seconds to its end.
    :ivar cut: whether the response was broken off by us.
    """

    client: str
    at: float
    method: str
    target: str
    protocol: str
    status: int
    sent: int
    referrer: str | None
    agent: str | None
    cache_status: str | None
    source: str | None
    first: float | None
    total: float
    cut: bool = False


def line(record: Record) -> str:
    """Write a record as a line, which nothing in it can break or forge."""
    first = "-" if record.first is None else f"{record.first:.3f}"
    cut = "; cut" if record.cut else ""
    return (
        f"{_safe(record.client)} - - [{_moment(int(record.at))}]"
        f' "{_safe(record.method)} {_safe(record.target)} {_safe(record.protocol)}"'
        f" {record.status} {record.sent}"
        f' "{_safe(record.referrer)}" "{_safe(record.agent)}" "{_safe(record.cache_status)}{cut}"'
        f" {_safe(record.source)} {first} {record.total:.3f}\n"
    )


def _safe(text: str | None) -> str:
    return _UNSAFE.sub(_escape, text) if text else "-"


def _escape(found: re.Match[str]) -> str:
    char = found.group()
    octets = char.encode("latin-1" if char < "\u0100" else "utf-8", "surrogatepass")
    return "".join(f"\\x{octet:02x}" for octet in octets)


@lru_cache(maxsize=4)
def _moment(at: int) -> str:
    # Not strftime: its month names follow the locale.
    utc = time.gmtime(at)
    return (
        f"{utc.tm_mday:02}/{_MONTHS[utc.tm_mon - 1]}/{utc.tm_year}"
        f":{utc.tm_hour:02}:{utc.tm_min:02}:{utc.tm_sec:02} +0000"
    )


def open_log(where: str) -> TextIO | None:
    """
    Open what ``--access-log`` names: a file to append to, ``-``, or ``off``.

    :raises OSError: when the file cannot be had.
    """
    if where == "off":
        return None
    if where == "-":
        # Not sys.stdout, which twistd turns into its own log.
        return sys.__stdout__
    return open(where, "a", encoding="ascii")


@define(eq=False)
class AccessLog:
    """
    Gathers lines for a second at most and writes them in one go.

    What cannot be written is lost, and said once until it can be written again.
    """

    _log: TextIO | None
    _clock: IReactorTime
    _lines: list[str] = field(factory=list, init=False)
    _due: IDelayedCall | None = field(default=None, init=False)
    _failing: bool = field(default=False, init=False)

    def add(self, record: Record) -> None:
        """Have a request logged."""
        if self._due is None:
            self._due = self._clock.callLater(FLUSH_EVERY, self.flush)
        self._lines.append(line(record))

    def flush(self) -> None:
        """Write what is there; also to be called at the end."""
        due, self._due = self._due, None
        if due is not None and due.active():
            due.cancel()
        lines, self._lines = self._lines, []
        if not lines or self._log is None:
            return
        try:
            self._log.write("".join(lines))
            self._log.flush()
        except OSError as error:
            self._failed(error)
        else:
            self._failing = False

    def change(self, log: TextIO | None) -> None:
        """Write the lines of later requests to another file, and close the one before."""
        self.flush()
        old, self._log = self._log, log
        if old is None or old is log or old is sys.__stdout__:
            return
        try:
            old.close()
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        if not self._failing:
            _log.error("cannot write the access log: {error}", error=error)
        self._failing = True
