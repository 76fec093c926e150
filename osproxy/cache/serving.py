"""
Answers from what is stored, and from what is being filled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from osproxy.http import freshness
from osproxy.model import Answer, Representation
from osproxy.store.entries import NOT_ITS_FAULT
from osproxy.upstream.origin import Overloaded

if TYPE_CHECKING:
    from osproxy.cache.fill import Fill
    from osproxy.cache.follow import FillReader
    from osproxy.http.cachestatus import CacheStatus
    from osproxy.model import Asked, FileBody
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store


AT_ONCE = 60 << 10
"""
Octets of a body that may be read between two others' turns.

With its head it is one write, after which a transport does not pause: that would be at 64 KiB.
"""


class Lost(Exception):
    """What was stored a moment ago cannot be read."""


async def from_store(
    store: Store, entry: Entry, asked: Asked, status: CacheStatus, now: float
) -> Answer:
    """
    Answer with what is stored.

    :raises Lost: when it is not there after all.
    :raises Overloaded: when it is, and cannot be opened for now.
    """
    store.touch(entry)
    body = None
    if not asked.head:
        try:
            body = await entry.open()
        except OSError as error:
            if error.errno in NOT_ITS_FAULT:
                text = f"what is stored cannot be opened: {error.strerror}"
                raise Overloaded("", "descriptors", text) from error
            raise Lost(f"{entry.target} is lost: {error}") from error
    return _answer(entry, body, status, now)


def from_memory(store: Store, entry: Entry, status: CacheStatus, now: float) -> Answer | None:
    """Answer with what is stored if it can be read without waiting; else it is not used."""
    body = entry.glance() if entry.length <= AT_ONCE else None
    if body is None:
        return None
    store.touch(entry)
    return _answer(entry, body, status, now)


def _answer(entry: Entry, body: FileBody | bytes | None, status: CacheStatus, now: float) -> Answer:
    return Answer(
        Representation(entry.head, body, entry.length),
        status,
        entry.kind,
        age=freshness.age(entry.head.date, now),
        source=entry.head.source,
    )


def from_fill(
    fill: Fill, reader: FillReader, asked: Asked, forwarded: CacheStatus, now: float
) -> Answer:
    """
    Answer with a file that is being filled, or has just been.

    :param reader: the fill's; it becomes the body, or is closed where none is wanted.
    :param forwarded: why the upstream was asked, or that it was not: for a fill that has `arrived`.
    """
    head = fill.head
    assert head is not None
    body = None
    if asked.head:
        reader.close()
    else:
        reader.hold()
        body = reader
    status = forwarded
    if not status.hit:
        # What caches nearer the origin said is of the request that was forwarded.
        status = evolve(status, fwd_status=head.status, stored=True, detail=head.source)
        theirs = () if status.collapsed else fill.fields_of_asker
        head = evolve(head, fields=(*head.fields, *theirs, *fill.caches))
    return Answer(
        Representation(head, body, reader.length),
        status,
        fill.order.policy.kind,
        age=freshness.age(head.date, now),
        source=head.source,
    )
