"""
A body on its way through, which is not kept.

Each client has an upstream request of its own, at its own pace: what the client does not take is
not read from the upstream, so no more than one block is ever in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from osproxy.cache.verified import Verified
from osproxy.http.fields import every, first, without
from osproxy.http.ranges import parse_content_range
from osproxy.model import BodyBroken, Relayed
from osproxy.upstream.origin import Unreachable, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.cache.source import Source
    from osproxy.model import Asked, Head, PassingBody
    from osproxy.repo.digests import Digest
    from osproxy.upstream.origin import Reply

# What a client may ask of a file that we do not keep: whether it has changed, and its part of the
# file. The validators it compares with came from the same upstream.
_CONDITIONS = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
# Of HEAD there is no part (RFC 9110 section 14.2), though there are servers that send a 206.
_PARTS = ("Range", "If-Range")
_BODILESS = frozenset({204, 304})


class Passage:
    """The body of an upstream's reply, or the part of it that is wanted."""

    def __init__(self, reply: Reply, skip: int = 0, length: int | None = None) -> None:
        self._reply = reply
        self._skip = skip
        self._left = length
        self._come = 0
        self.length = length
        if length is None and reply.length is not None:
            self.length = reply.length - skip

    async def deliver(self, sink: Callable[[bytes], None]) -> None:
        """See `osproxy.model.PassingBody`."""

        def take(data: bytes) -> None:
            self._come += len(data)
            if self._skip:
                dropped = min(self._skip, len(data))
                self._skip -= dropped
                data = data[dropped:]
            if self._left is not None:
                data = data[: self._left]
                self._left -= len(data)
            if data:
                sink(data)
            # A reply that ends here anyway leaves a connection that can be used again.
            if self._left == 0 and self._come != self._reply.length:
                raise _Enough

        try:
            await self._reply.deliver(take)
        except _Enough:
            return
        except UpstreamError as error:
            raise BodyBroken(str(error)) from error
        if self._left:
            raise BodyBroken("the upstream's file is shorter than it was")

    def pause(self) -> None:
        """See `osproxy.model.PassingBody`."""
        self._reply.pause()

    def resume(self) -> None:
        """See `osproxy.model.PassingBody`."""
        self._reply.resume()

    def close(self) -> None:
        """See `osproxy.model.PassingBody`."""
        self._reply.abandon()


class _Enough(Exception):
    """The wanted part is complete; the upstream may send more."""


async def relay(source: Source, asked: Asked) -> tuple[Relayed, Reply]:
    """
    Ask for what the client asks for, and pass on what comes.

    :raises UpstreamError: when there is no answer.
    """
    forwarded = _CONDITIONS if asked.head else (*_PARTS, *_CONDITIONS)
    fields = tuple((name, value) for name in forwarded for value in every(asked.fields, name))
    return relayed(reply := await source(method=asked.method, fields=fields), asked), reply


def relayed(reply: Reply, asked: Asked) -> Relayed:
    """Make of a reply what is passed on; one that has no body is given up."""
    fields = reply.fields
    bodiless = reply.status in _BODILESS
    if bodiless:
        # It would speak of another response than this (RFC 9110 section 8.6).
        fields = without(fields, "content-length")
    if bodiless or asked.head:
        reply.abandon()
        return Relayed(reply.status, fields, None, reply.protocol)
    if reply.length is not None:
        fields = (*without(fields, "content-length"), ("Content-Length", str(reply.length)))
    return Relayed(reply.status, fields, Passage(reply), reply.protocol)


async def ahead(source: Source, asked: Asked, head: Head, length: int) -> tuple[Relayed, Reply]:
    """
    Get a range of a file that is being filled but is far from there.

    :param head: the head of the fill, whose version the range must be of.
    :raises UpstreamError: when it cannot be had.
    """
    wanted = first(asked.fields, "range") or ""
    reply = await source(fields=(("Range", wanted),))
    part = parse_content_range(first(reply.fields, "content-range") or "")
    whole = part.length if part is not None else reply.length
    if reply.status not in (200, 206) or whole != length or not _same(reply, head):
        reply.abandon()
        raise Unreachable(reply.host, "changed", f"{reply.host} has another version by now")
    theirs = relayed(reply, asked)
    fields = (*without(theirs.fields, "etag"), *head.tag)
    return evolve(theirs, fields=fields), reply


async def continued(
    source: Source,
    head: Head,
    length: int | None,
    position: int,
    stop: int | None,
    digest: Digest | None = None,
) -> PassingBody:
    """
    Get the octets from ``position`` to ``stop`` of a file whose beginning was had before.

    A file that is passed on whole is verified as it passes. The rest of one whose beginning was
    read is not: that it is of the same version is all that is known (B1).

    :param head: what was said of the file then.
    :param length: its length, where it is known.
    :param digest: what the whole must come to, where that is known.
    :raises BodyBroken: when they cannot be had, or the file is another one now.
    """
    whole = position == 0 and stop in (None, length)

    def passing(reply: Reply, skip: int) -> PassingBody:
        body = Passage(reply, skip, None if stop is None else stop - position)
        return Verified(body, digest) if whole and digest is not None else body

    last = "" if stop is None else str(stop - 1)
    try:
        reply = await source(fields=(("Range", f"bytes={position}-{last}"),))
    except UpstreamError as error:
        raise BodyBroken(str(error)) from error
    if reply.status == 206 and _same(reply, head):
        part = parse_content_range(first(reply.fields, "content-range") or "")
        if part and part.start == position and length in (None, part.length):
            return passing(reply, 0)
    # A server may answer any Range with the whole file (RFC 9110 section 14.2).
    if reply.status == 200 and _same(reply, head) and length in (None, reply.length):
        return passing(reply, position)
    reply.abandon()
    raise BodyBroken(f"{reply.host} has another version of the file by now")


def _same(reply: Reply, head: Head) -> bool:
    etag = first(reply.fields, "etag")
    # Parts are joined by strong validators only (RFC 9110 section 15.3.7.3).
    if etag is not None and etag == head.upstream_etag and not etag.startswith("W/"):
        return True
    # Mirrors make entity tags of their own; the date of the file travels with it.
    modified = first(reply.fields, "last-modified")
    if modified is None and head.last_modified is None:
        return etag is None and head.upstream_etag is None
    return modified == head.last_modified
