r"""
What is said of a request, and the forms that it is written in.

The combined format has client, time, request line, status, octets of body, referer and user agent;
then come how the cache answered, the host that the body once came from, the seconds to the first
octet of the response, and those to its last. What is not known is ``-``.

The status is the one that was sent, or 499 where the client left first. Where the rest of a body
could not be had, so that we broke the connection, ``; cut`` stands behind how the cache answered.
Of what was no HTTP/1 request nothing is known but the client, the time and the status.

JSON has an object a line (JSON Lines) with all of these, and the kind of file. Octets that are no
UTF-8 are written in hexadecimal, ``\xff``. What is not known is null. The journal has the combined
line as its message, and a field for each value that is known.
"""

from __future__ import annotations

import json
import re
import time
from functools import cache, lru_cache

from attrs import frozen

from osproxy.journal import datagram

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_UNSAFE = re.compile(r"[^ !#-\[\]-~]")

_encode = json.JSONEncoder(separators=(",", ":")).encode


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
    :ivar kind: of which kind the file is, None if it is no file.
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
    kind: str | None = None


def combined(record: Record) -> str:
    """Write a record as a line without its end, which nothing in it can break or forge."""
    first = "-" if record.first is None else f"{record.first:.3f}"
    cut = "; cut" if record.cut else ""
    return (
        f"{_safe(record.client)} - - [{_moment(int(record.at))}]"
        f' "{_safe(record.method)} {_safe(record.target)} {_safe(record.protocol)}"'
        f" {record.status} {record.sent}"
        f' "{_safe(record.referrer)}" "{_safe(record.agent)}" "{_safe(record.cache_status)}{cut}"'
        f" {_safe(record.source)} {first} {record.total:.3f}"
    )


def as_json(record: Record) -> str:
    """Write a record as an object of JSON, in ASCII and on one line."""
    return _encode(_named(record))


def entry(record: Record) -> bytes:
    """Write a record as an entry of the journal."""
    return datagram(
        [
            ("MESSAGE", combined(record)),
            ("PRIORITY", "6"),
            ("SYSLOG_IDENTIFIER", "osproxy"),
            *(
                (_field_name(name), _text(value))
                for name, value in _named(record).items()
                if value is not None
            ),
        ]
    )


def _named(record: Record) -> dict[str, str | int | float | bool | None]:
    return {
        "time": _instant(record.at),
        "client": _readable(record.client),
        "method": _readable(record.method),
        "target": _readable(record.target),
        "protocol": _readable(record.protocol),
        "status": record.status,
        "bytes": record.sent,
        "referer": record.referrer and _readable(record.referrer),
        "user_agent": record.agent and _readable(record.agent),
        "cache_status": record.cache_status and _readable(record.cache_status),
        "kind": record.kind,
        "source": record.source and _readable(record.source),
        "ttfb": None if record.first is None else round(record.first, 6),
        "duration": round(record.total, 6),
        "cut": record.cut,
    }


@cache
def _field_name(name: str) -> str:
    return f"OSPROXY_{name.upper()}"


def _text(value: str | float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _readable(text: str) -> str:
    """Undo that a text was read as Latin-1, since what clients mean is UTF-8 if anything."""
    if text.isascii():
        return text
    return _as_octets(text).decode("utf-8", "backslashreplace")


def _safe(text: str | None) -> str:
    return _UNSAFE.sub(_escape, text) if text else "-"


def _escape(found: re.Match[str]) -> str:
    return "".join(f"\\x{octet:02x}" for octet in _as_octets(found.group()))


def _as_octets(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


@lru_cache(maxsize=4)
def _moment(at: int) -> str:
    # Not strftime: its month names follow the locale.
    utc = time.gmtime(at)
    return (
        f"{utc.tm_mday:02}/{_MONTHS[utc.tm_mon - 1]}/{utc.tm_year}"
        f":{utc.tm_hour:02}:{utc.tm_min:02}:{utc.tm_sec:02} +0000"
    )


def _instant(at: float) -> str:
    return f"{_second(int(at))}.{int(at % 1 * 1000):03}Z"


@lru_cache(maxsize=4)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
