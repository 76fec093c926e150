"""
Heads of responses: the fields that all of them carry, and whole ones that are kept a while.

A file that is asked for again and again has the same head for as long as it has the same age, which
is a second.
"""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus
from typing import TYPE_CHECKING

from attrs import evolve, frozen
from twisted.web.http_headers import Headers

from osproxy.http import via
from osproxy.http.fields import every, first, format_date, without

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.http.cachestatus import CacheStatus
    from osproxy.http.fields import Fields
    from osproxy.model import Answer, Head

# What is sent once, with what others have said of it in front.
_OURS = frozenset(("via", "cache-status"))

MOST = 2048
"""Heads that are kept; each has less than 1 KiB as a rule."""


def headers_of(
    fields: Fields, answer: Answer, date: float | None, now: float, pseudonym: str
) -> Headers:
    """
    Give the header of a response.

    :param fields: what it says of itself.
    :param date: when it was made, for one that is not of now (RFC 9110 section 6.6.1, RFC 9111
        section 5.1).
    :param pseudonym: our own.
    """
    said = [(name, value) for name, value in fields if name.lower() not in _OURS]
    if first(fields, "date") is None:
        said.append(("Date", format_date(now if date is None else date)))
    if answer.age is not None and date is not None:
        said = [*without(tuple(said), "age"), ("Age", str(answer.age))]
    if first(fields, "server") is None:
        said.append(("Server", "osproxy"))
    said.append(("Via", via.add(fields, answer.protocol, pseudonym)))
    said.append(("Cache-Status", _chained(fields, answer)))
    headers = Headers()
    for name, value in said:
        # Twisted would make UTF-8 of what came as other octets.
        headers.addRawHeader(name.encode("latin-1"), value.encode("latin-1"))
    return headers


def _chained(fields: Fields, answer: Answer) -> str:
    """Add our member to what caches nearer the origin said (RFC 9211 section 2)."""
    status = answer.cache_status
    if answer.source and status.detail is None and not status.hit:
        status = evolve(status, detail=answer.source)
    return ", ".join([*every(fields, "cache-status"), status.serialise()])


def octets_of(status: int, headers: Headers) -> bytes:
    """Write a head as it goes over the wire."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    lines += [
        b"%b: %b" % (name, value) for name, values in headers.getAllRawHeaders() for value in values
    ]
    return b"\r\n".join((*lines, b"", b""))


@frozen(eq=False)
class _Kept:
    head: Head
    length: int | None
    age: int | None
    status: CacheStatus
    octets: bytes

    def is_of(self, answer: Answer, head: Head, length: int | None) -> bool:
        return (
            self.head is head
            and self.age == answer.age
            and self.length == length
            and self.status == answer.cache_status
        )


class Heads:
    """
    The heads of answers with whole files that were given last.

    :param make: makes one.
    """

    def __init__(self, make: Callable[[Answer], bytes]) -> None:
        self._make = make
        # By the head's identity: as long as it is kept here no other can have it.
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    def of(self, answer: Answer, head: Head, length: int | None) -> bytes:
        """Give the head of an answer of 200 with all of this file."""
        kept = self._kept.get(id(head))
        if kept is None or not kept.is_of(answer, head, length):
            kept = _Kept(head, length, answer.age, answer.cache_status, self._make(answer))
            self._kept.pop(id(head), None)
            self._kept[id(head)] = kept
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return kept.octets
