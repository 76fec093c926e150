"""
Read and write the fields that a cache needs.

Fields travel as pairs in the order they were received, with their names as sent; whoever looks one
up ignores case (RFC 9110 section 5.1). What the fields of caching mean is in
`osproxy.http.cachecontrol`, what conditions mean in `osproxy.http.conditions`.
"""

from __future__ import annotations

import re
import time
from calendar import timegm
from datetime import datetime

Fields = tuple[tuple[str, str], ...]

_HOP_BY_HOP = frozenset(
    (
        "connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    )
)  # fmt: skip
# What tells whether, for how long and for whom a response may be kept, and how its octets are read:
# it is meant for all recipients, so that Connection must not name it (RFC 9110 section 7.6.1).
# Were it left out nevertheless, what is private would be handed to others.
_FOR_ALL = frozenset(
    (
        "age", "cache-control", "content-encoding", "content-type", "date", "expires", "pragma",
        "set-cookie", "vary",
    )
)  # fmt: skip

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLOCK = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_MONTH = "(?P<month>[A-Za-z]{3})"
_GMT = "[Gg][Mm][Tt]"
_DATES = (
    re.compile(f"[A-Za-z]{{3}}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_CLOCK} {_GMT}"),
    re.compile(
        f"[A-Za-z]{{6,9}}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_CLOCK} {_GMT}"
    ),
    re.compile(f"[A-Za-z]{{3}} {_MONTH} (?P<day>[ 0-9][0-9]) {_CLOCK} (?P<year>[0-9]{{4}})"),
)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# Possessive, so that a hostile value costs linear time; a quote that is never closed runs to the
# end, as does a backslash with nothing behind it.
_MEMBER = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.?)*+"?)++', re.DOTALL)


def every(fields: Fields, name: str) -> list[str]:
    """Give the values of all fields of this name, in order (RFC 9110 section 5.3)."""
    name = name.lower()
    return [value for key, value in fields if key.lower() == name]


def first(fields: Fields, name: str) -> str | None:
    """Give the value of the first field of this name, None where there is none."""
    name = name.lower()
    for key, value in fields:
        if key.lower() == name:
            return value
    return None


def without(fields: Fields, *names: str) -> Fields:
    """Leave out all fields of these names."""
    dropped = {name.lower() for name in names}
    return tuple((key, value) for key, value in fields if key.lower() not in dropped)


def only(fields: Fields, *names: str) -> Fields:
    """Leave out all fields but those of these names."""
    wanted = {name.lower() for name in names}
    return tuple((key, value) for key, value in fields if key.lower() in wanted)


def taken_for(name: str) -> str:
    """
    Give the name that a field is taken for where ``_`` and ``-`` are one, in lower case.

    They are to CGI (RFC 3875 section 4.1.18), and to what descends from it: WSGI, Rack, PHP.
    """
    return name.lower().replace("_", "-")


def end_to_end(fields: Fields) -> Fields:
    """
    Leave out what is meant for the next hop only (RFC 9110 section 7.6.1).

    That is the fields that are hop-by-hop by their name, and those that Connection may name and
    does. What is not known goes on (section 5.1).
    """
    named = {token.lower() for value in every(fields, "connection") for token in tokens(value)}
    return without(fields, *_HOP_BY_HOP, *(named - _FOR_ALL))


def tokens(value: str) -> list[str]:
    """
    Split a comma-separated list, commas in quoted strings aside (RFC 9110 section 5.6.1).

    Members keep their quotes; empty ones are dropped, as a recipient must.
    """
    members = (member.strip(" \t") for member in _MEMBER.findall(value))
    return [member for member in members if member]


def is_token(value: str) -> bool:
    """Say whether this could be a field name, or any other token (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(value) is not None


def parse_date(value: str) -> float | None:
    """
    Read a date in any of the three forms (RFC 9110 section 5.6.7), None for anything else.

    Case does not matter (RFC 9111 section 4.2), and the name of the day is not compared with the
    date. Years of two digits lie in 1970 to 2069, a fixed century where the RFC wants a sliding
    one: no function here knows what time it is.
    """
    value = value.strip(" \t")
    for form in _DATES:
        if found := form.fullmatch(value):
            break
    else:
        return None
    year = int(found["year"])
    if len(found["year"]) == 2:
        year += 2000 if year < 70 else 1900
    try:
        month = _MONTHS.index(found["month"].title()) + 1
        # A leap second is the first of the next minute, as for `timegm`.
        second = int(found["second"])
        leap = second == 60
        moment = datetime(
            year, month, int(found["day"]), int(found["hour"]), int(found["minute"]), second - leap
        )
    except ValueError:
        return None
    return float(timegm(moment.timetuple()) + leap)


def format_date(seconds: float) -> str:
    """Write a time as an IMF-fixdate (RFC 9110 section 5.6.7), fractions cut off."""
    at = time.gmtime(seconds)
    return (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02d} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04d} "
        f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} GMT"
    )
