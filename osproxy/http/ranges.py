"""
Read what part of a file is asked for, and say what part is sent (RFC 9110 section 14).

Whether a Range may be heeded at all is If-Range's affair, see `osproxy.http.conditions`.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

# Possessive, and the numbers bounded where they are read: a hostile value costs linear time.
_SPEC = re.compile(r"([0-9]*+)-([0-9]*+)")
_CONTENT = re.compile(r"bytes ([0-9]{1,18}+)-([0-9]{1,18}+)/(?:([0-9]{1,18}+)|\*)", re.IGNORECASE)

# Beyond any file: what has more digits is as good as this.
_BEYOND = 10**18

#: More spans than this are not read: clients that fetch chunks ask for some 250 at once.
SPANS_AT_MOST = 1024
# So many may overlap others, or lie before the one that was asked for before them.
_DISORDERLY = 16


class Unsatisfiable(Exception):
    """No octet that is asked for exists: 416."""


@frozen
class Span:
    """The octets from ``start`` up to, but not with, ``stop``."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many octets it has."""
        return self.stop - self.start


@frozen
class ContentRange:
    """
    What part of a file a response says it has (RFC 9110 section 14.4).

    :ivar start: the first octet.
    :ivar stop: the octet behind the last.
    :ivar length: octets of the whole file, None where it does not say.
    """

    start: int
    stop: int
    length: int | None


def parse_range(value: str, length: int) -> tuple[Span, ...]:
    """
    Give the spans that a Range asks of a file, in the order asked (RFC 9110 section 14.1.2).

    Empty where the field is to be ignored: another unit, or not well-formed, or too many spans, or
    the end of a file that has no octets, of which there is no 206. Spans beyond the end are dropped
    or cut.

    :raises Unsatisfiable: when none is left.
    """
    unit, _, listed = value.strip(" \t").partition("=")
    if unit.lower() != "bytes":
        return ()
    spans: list[Span] = []
    for item in listed.split(","):
        item = item.strip(" \t")
        if not item:
            continue
        found = _SPEC.fullmatch(item)
        if found is None or item == "-" or len(spans) == SPANS_AT_MOST:
            return ()
        head, tail = found[1], found[2]
        if head:
            start = _number(head)
            last = _number(tail) if tail else _BEYOND
            if last < start:
                return ()
            span = Span(start, min(last + 1, length))
        else:
            suffix = _number(tail)
            if suffix and not length:
                return ()
            span = Span(max(0, length - suffix), length)
        spans.append(span)
    satisfiable = tuple(span for span in spans if span.start < span.stop)
    if spans and not satisfiable:
        raise Unsatisfiable
    return satisfiable


def merge(spans: Sequence[Span], length: int) -> tuple[Span, ...]:
    """
    Make one span of those that overlap or touch each other (RFC 9110 section 15.3.7.2).

    The order stays that in which they were asked for. A gap is never sent along, however small,
    though the RFC would allow it: the reader that zchunk has takes every octet for one that it
    asked for.

    Empty where a Range is to be ignored because nobody who needs it asks so: twice the file, or
    much overlap, or much disorder (section 14.2).
    """
    if sum(span.length for span in spans) > 2 * length:
        return ()
    disorderly = sum(later.start < earlier.start for earlier, later in pairwise(spans))
    # With each span its place among those that were asked for, the first of the merged ones.
    merged: list[tuple[int, Span]] = []
    for place, span in sorted(enumerate(spans), key=lambda placed: placed[1].start):
        if merged and span.start <= merged[-1][1].stop:
            first, before = merged[-1]
            merged[-1] = (min(first, place), Span(before.start, max(before.stop, span.stop)))
            disorderly += span.start < before.stop
        else:
            merged.append((place, span))
    if disorderly > _DISORDERLY:
        return ()
    return tuple(span for _, span in sorted(merged, key=lambda placed: placed[0]))


def content_range(span: Span, length: int) -> str:
    """Write the Content-Range of a 206 (RFC 9110 section 14.4)."""
    return f"bytes {span.start}-{span.stop - 1}/{length}"


def unsatisfied_range(length: int) -> str:
    """Write the Content-Range of a 416 (RFC 9110 section 14.4)."""
    return f"bytes */{length}"


def parse_content_range(value: str) -> ContentRange | None:
    """Read the Content-Range of a 206; None where it is not well-formed (RFC 9110 section 14.4)."""
    found = _CONTENT.fullmatch(value.strip(" \t"))
    if found is None:
        return None
    start, stop = int(found[1]), int(found[2]) + 1
    length = None if found[3] is None else int(found[3])
    if stop <= start or (length is not None and length < stop):
        return None
    return ContentRange(start, stop, length)


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return _BEYOND if len(digits) > 18 else int(digits or "0")
