"""
From the access log to a trace: which files clients were sent.

Lines are those of `osproxy.web.record`, combined or JSON; the combined format of other servers,
which has four fields less, will do. What counts is a GET that was answered with a file or a part of
it. How large a file is shows where it was sent whole; where it never was, the most that was sent
counts.
"""

from __future__ import annotations

import json
import re
from calendar import timegm
from datetime import datetime
from functools import lru_cache

from osproxy.http.paths import BadTarget, canonical_path, parse_target
from osproxy.repo.kinds import classify
from osproxy.tools.trace import BadTrace, Event

_LINE = re.compile(
    r"\S++ \S++ \S++ \[(?P<at>[^\]]++)\]"
    r' "(?P<method>[^ "]*+) ?(?P<target>[^ "]*+)[^"]*+"'
    r" (?P<status>[0-9]{3}) (?P<sent>[0-9]{1,18}|-)"
    r'(?: "[^"]*+" "[^"]*+"(?: "(?P<cache>[^"]*+)".*+)?)?'
)
_MOMENT = re.compile(
    r"([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r" ([+-])([0-9]{2})([0-9]{2})"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Sent whole; in part; the client left first.
_STATUSES = frozenset({200, 206, 499})
_MOST_OCTETS = 2**63
_OWN_PAGES = ("/-/", "/_status")
_CUT = "; cut"


def parse(line: str) -> Event | None:
    """
    Read a line of an access log; None where no file was sent.

    :raises BadTrace: when it is no line of an access log.
    """
    return _of_object(line) if line.startswith("{") else _of_line(line)


def _of_line(line: str) -> Event | None:
    found = _LINE.fullmatch(line.rstrip("\r\n"))
    if found is None:
        raise BadTrace("is no line of an access log")
    sent = 0 if found["sent"] == "-" else int(found["sent"])
    whole = not (found["cache"] or "").endswith(_CUT)
    return _event(
        _seconds(found["at"]), found["method"], found["target"], int(found["status"]), sent, whole
    )


def _of_object(line: str) -> Event | None:
    try:
        match json.loads(line):
            case {
                "time": str(time),
                "method": str(method),
                "target": str(target),
                "status": int(status),
                "bytes": int(sent),
                "cut": bool(cut),
            }:
                at = datetime.fromisoformat(time).timestamp()
                return _event(at, method, target, status, sent, not cut)
    except (ValueError, OverflowError, RecursionError):
        pass
    raise BadTrace("is no line of an access log in JSON")


def _event(
    at: float, method: str, target: str, status: int, sent: int, whole: bool
) -> Event | None:
    if method != "GET" or status not in _STATUSES or not 0 < sent < _MOST_OCTETS:
        return None
    try:
        asked = parse_target(target.encode("utf-8", "surrogateescape"))
        path = canonical_path(asked.path)
    except (BadTarget, UnicodeEncodeError):
        return None
    if path.startswith(_OWN_PAGES):
        return None
    key = (f"//{asked.host}" if asked.host else "") + path
    name = f"{key}?{asked.query}" if asked.query else key
    return Event(at, name, sent, classify(path), status == 200 and whole)


@lru_cache(maxsize=4)
def _seconds(moment: str) -> float:
    found = _MOMENT.fullmatch(moment)
    if found is None or found[2] not in _MONTHS:
        raise BadTrace(f"{moment!r} is no time of an access log")
    day, year, hour, minute, second = (int(found[group]) for group in (1, 3, 4, 5, 6))
    try:
        utc = timegm((year, _MONTHS.index(found[2]) + 1, day, hour, minute, second))
    except ValueError:
        raise BadTrace(f"{moment!r} is before all time") from None
    offset = int(found[8]) * 3600 + int(found[9]) * 60
    return float(utc - offset if found[7] == "+" else utc + offset)
