"""
Compare what a client has with what we have (RFC 9110 section 13).

Only GET and HEAD of something that exists are judged here. Whether what we have may be used at all
is another question, see `osproxy.http.freshness`.
"""

from __future__ import annotations

import math
import re
from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.http.fields import Fields, every, parse_date

if TYPE_CHECKING:
    from collections.abc import Callable

# Not the list syntax of other fields: in an entity tag a backslash is an octet like any other
# (RFC 9110 section 8.8.3). What is not quoted is a member, too, see `_equal_weakly`.
_MEMBER = re.compile(r'(?:W/)?"[^"]*"|[^ \t,]++')

# Seconds by which Date is the later one. RFC 9110 section 8.8.2.2 asks for one if both are of the
# same clock; the date of a file is not of ours, nor always of the host's that sent it.
_STRONG = 60


def dated_strongly(last_modified: float | None, date: float | None) -> bool:
    """Say whether no two states can have had this ``last_modified`` (RFC 9110 section 8.8.2.2)."""
    return last_modified is not None and date is not None and date - last_modified >= _STRONG


@frozen
class Validators:
    """
    What tells one state of a file from another (RFC 9110 section 8.8).

    :ivar etag: the entity tag with its quotes.
    :ivar last_modified: seconds since the epoch.
    :ivar date: the Date that was, or would have been, sent with them, in seconds since the epoch.
    """

    etag: str | None
    last_modified: float | None
    date: float | None = None

    @property
    def dated_strongly(self) -> bool:
        """Whether ``last_modified`` is a strong validator, see `dated_strongly`."""
        return dated_strongly(self.last_modified, self.date)


class Outcome(Enum):
    """What the conditions of a request come to."""

    PROCEED = "proceed"
    NOT_MODIFIED = "not modified"
    PRECONDITION_FAILED = "precondition failed"


def evaluate(fields: Fields, validators: Validators) -> Outcome:
    """
    Judge the conditions of a GET or HEAD in the order of RFC 9110 section 13.2.2.

    A date that cannot be read, or that is there twice, is no condition (sections 13.1.3 and
    13.1.4). Of a file that does not say when it was modified, If-Unmodified-Since is none either;
    for If-Modified-Since its Date counts, as a cache has it (RFC 9111 section 4.3.2).
    """
    modified = validators.last_modified
    # Steps 1 and 2.
    if (wanted := _list(fields, "if-match")) is not None:
        unmet = not _matches(wanted, validators.etag, _equal_strongly)
    else:
        since = _date(fields, "if-unmodified-since")
        unmet = modified is not None and since is not None and modified > since
    if unmet:
        return Outcome.PRECONDITION_FAILED

    # Steps 3 and 4.
    if (had := _list(fields, "if-none-match")) is not None:
        unchanged = _matches(had, validators.etag, _equal_weakly)
    else:
        since = _date(fields, "if-modified-since")
        latest = validators.date if modified is None else modified
        unchanged = latest is not None and since is not None and math.floor(latest) <= since
    return Outcome.NOT_MODIFIED if unchanged else Outcome.PROCEED


def answers(status: int, asked: Fields) -> bool:
    """
    Say whether this may be the status of a response to a request with these fields.

    Not a 206 to one that wants no part, nor a 304 to one that has nothing to compare (RFC 9110
    sections 15.3.7 and 15.4.5): whoever took it for an answer would take a part for the whole, or
    have nothing.
    """
    if status == 206:
        return bool(every(asked, "range"))
    return status != 304 or any(name.lower().startswith("if-") for name, _ in asked)


def applicable_range(fields: Fields, validators: Validators) -> str | None:
    """
    Give the Range of a GET that is to be heeded: step 5 of RFC 9110 section 13.2.2.

    None where there is none, or two, of which nobody knows which is meant; and where If-Range does
    not name what we have (section 13.1.5): an entity tag must be equal by strong comparison, a date
    exactly the one we hand out, and a strong validator.
    """
    ranges, conditions = every(fields, "range"), every(fields, "if-range")
    if len(ranges) != 1 or len(conditions) > 1:
        return None
    if conditions and not _names(conditions[0].strip(" \t"), validators):
        return None
    return ranges[0]


def _names(value: str, validators: Validators) -> bool:
    # A quote among the first three characters makes it an entity tag (RFC 9110 section 13.1.5).
    if '"' in value[:3]:
        return validators.etag is not None and _equal_strongly(value, validators.etag)
    date = parse_date(value)
    return date is not None and date == validators.last_modified and validators.dated_strongly


def _list(fields: Fields, name: str) -> str | None:
    values = every(fields, name)
    return ",".join(values) if values else None


def _date(fields: Fields, name: str) -> float | None:
    values = every(fields, name)
    return parse_date(values[0]) if len(values) == 1 else None


def _matches(listed: str, etag: str | None, equal: Callable[[str, str], bool]) -> bool:
    # RFC 9110 sections 13.1.1 and 13.1.2: the star stands alone, for any file that exists.
    if listed.strip(" \t") == "*":
        return True
    return etag is not None and any(equal(tag, etag) for tag in _MEMBER.findall(listed))


def _equal_strongly(one: str, other: str) -> bool:
    """RFC 9110 section 8.8.3.2: equal, and neither of them weak."""
    return one == other and one.startswith('"')


def _equal_weakly(one: str, other: str) -> bool:
    """
    RFC 9110 section 8.8.3.2: equal but for being weak.

    Or for the quotes, which the RFC demands: MirrorCache leaves them out, and there are clients
    that take them off before they send a tag back.
    """
    return _opaque(one) == _opaque(other)


def _opaque(tag: str) -> str:
    tag = tag.removeprefix("W/")
    return tag[1:-1] if len(tag) > 1 and tag[0] == tag[-1] == '"' else tag
