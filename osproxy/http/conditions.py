"""
Compare what a client has with what we have (RFC 9110 section 13).

Only GET and HEAD of something that exists are judged here. Whether what we have may be used at all
is another question, see `osproxy.http.freshness`.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.http.fields import Fields, every, first, parse_date

if TYPE_CHECKING:
    from collections.abc import Callable

# Not the list syntax of other fields: in an entity tag a backslash is an octet like any other.
_TAG = re.compile(r'(?:W/)?"[^"]*"')


@frozen
class Validators:
    """
    What tells one state of a file from another (RFC 9110 section 8.8).

    :ivar etag: the entity tag with its quotes.
    :ivar last_modified: seconds since the epoch.
    """

    etag: str | None
    last_modified: float | None


class Outcome(Enum):
    """What the conditions of a request come to."""

    PROCEED = "proceed"
    NOT_MODIFIED = "not modified"
    PRECONDITION_FAILED = "precondition failed"


def evaluate(fields: Fields, validators: Validators) -> Outcome:
    """
    Judge the conditions of a GET or HEAD in the order of RFC 9110 section 13.2.2.

    A date that cannot be read is no condition, nor is one about a file whose date is unknown.
    """
    modified = validators.last_modified
    if (wanted := _list(fields, "if-match")) is not None:
        unmet = not _matches(wanted, validators.etag, _equal_strongly)
    else:
        since = _date(fields, "if-unmodified-since")
        unmet = modified is not None and since is not None and modified > since
    if unmet:
        return Outcome.PRECONDITION_FAILED

    if (had := _list(fields, "if-none-match")) is not None:
        unchanged = _matches(had, validators.etag, _equal_weakly)
    else:
        since = _date(fields, "if-modified-since")
        unchanged = modified is not None and since is not None and modified <= since
    return Outcome.NOT_MODIFIED if unchanged else Outcome.PROCEED


def range_applies(fields: Fields, validators: Validators) -> bool:
    """
    Say whether a Range may be heeded, since If-Range names what we have (RFC 9110 section 13.1.5).

    An entity tag must be equal by strong comparison, a date exactly the one we hand out.
    """
    sent = every(fields, "if-range")
    if not sent:
        return True
    if len(sent) > 1:
        return False
    value = sent[0].strip(" \t")
    if '"' in value:
        return validators.etag is not None and _equal_strongly(value, validators.etag)
    date = parse_date(value)
    return date is not None and date == validators.last_modified


def _list(fields: Fields, name: str) -> str | None:
    values = every(fields, name)
    return ",".join(values) if values else None


def _date(fields: Fields, name: str) -> float | None:
    value = first(fields, name)
    return None if value is None else parse_date(value)


def _matches(listed: str, etag: str | None, equal: Callable[[str, str], bool]) -> bool:
    if listed.strip(" \t") == "*":
        return True
    return etag is not None and any(equal(tag, etag) for tag in _TAG.findall(listed))


def _equal_strongly(one: str, other: str) -> bool:
    """RFC 9110 section 8.8.3.2: equal, and neither of them weak."""
    return one == other and one.startswith('"')


def _equal_weakly(one: str, other: str) -> bool:
    """RFC 9110 section 8.8.3.2: equal but for being weak."""
    return one.removeprefix("W/") == other.removeprefix("W/")
