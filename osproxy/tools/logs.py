"""
From the access log to a trace: which files clients were sent.

Lines are those of `osproxy.web.accesslog`; the combined format of other servers, which has four
fields less, will do. What counts is a GET that was answered with a file or a part of it. How large
a file is shows where it was sent whole; where it never was, the most that was sent counts.
"""

from __future__ import annotations

import re
from calendar import timegm
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
_STATUSES = frozenset({"200", "206", "499"})
_OWN_PAGES = ("/-/", "/_status")
_CUT = "; cut"


def parse(line: str) -> Event | None:
    """
    Read a line of an access log; None where no file was sent.

    :raises BadTrace: when it is no line of an access log.
    """
    found = _LINE.fullmatch(line.rstrip("\r\n"))
    if found is None:
        raise BadTrace("is no line of an access log")
    at = _seconds(found["at"])
    if found["method"] != "GET" or found["status"] not in _STATUSES or found["sent"] in ("-", "0"):
        return None
    try:
        target = parse_target(found["target"].encode("utf-8", "surrogateescape"))
        path = canonical_path(target.path)
    except BadTarget:
        return None
    if path.startswith(_OWN_PAGES):
        return None
    key = (f"//{target.host}" if target.host else "") + path
    return Event(
        at,
        f"{key}?{target.query}" if target.query else key,
        int(found["sent"]),
        classify(path),
        found["status"] == "200" and not (found["cache"] or "").endswith(_CUT),
    )


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
