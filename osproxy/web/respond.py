"""
From an answer of the cache to a response: conditions, ranges, fields, body.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.http.conditions import Outcome, applicable_range, evaluate
from osproxy.http.fields import end_to_end, first, without
from osproxy.http.multipart import multipart
from osproxy.http.ranges import (
    Span,
    Unsatisfiable,
    content_range,
    merge,
    parse_range,
    unsatisfied_range,
)
from osproxy.model import Notice, Relayed, Representation
from osproxy.web.body import ClientGone, send
from osproxy.web.heads import Heads, headers_of, octets_of
from osproxy.web.passing import pass_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.http.fields import Fields
    from osproxy.http.multipart import Pieces
    from osproxy.model import Answer, Head
    from osproxy.threads import InThread
    from osproxy.web.bandwidth import Pace
    from osproxy.web.request import ClientRequest

# What a 304 carries of a head (RFC 9110 section 15.4.5). Last-Modified is there for caches that
# have no use for an entity tag; a cookie is never stored, but may have come for this client now.
_WITH_304 = frozenset(
    {
        "cache-control", "content-location", "date", "expires", "vary", "last-modified",
        "set-cookie",
    }
)  # fmt: skip
_IN_PARTS = ("Accept-Ranges", "bytes")

# Digests of what is sent, not of the file: of a part they would be wrong (RFC 9530 section 2).
_OF_THE_WHOLE = ("Content-Digest", "Content-MD5")


@frozen
class Response:
    """
    What is to be sent.

    :ivar pieces: what the body is made of; empty for no body, None for all that there will be of a
        file whose length is not known.
    """

    status: int
    fields: Fields
    pieces: Pieces | None = ()


def plan(content: Representation, asked: Fields, boundary: str) -> Response:
    """
    Judge the conditions and the range of a request for a file that we hold.

    :param boundary: what is to stand between parts, see `osproxy.http.multipart`.
    """
    head, length, validators = content.head, content.length, content.head.validators
    # Where there would be no file there is nothing to compare with (RFC 9110 section 13.2.1).
    outcome = evaluate(asked, validators) if head.status < 300 else Outcome.PROCEED
    if outcome is Outcome.NOT_MODIFIED:
        kept = tuple((name, value) for name, value in head.fields if name.lower() in _WITH_304)
        return Response(304, (*kept, *head.tag))
    if outcome is Outcome.PRECONDITION_FAILED:
        return Response(412, (*head.tag, ("Content-Length", "0")))
    fields = (*head.fields, *head.tag)
    if head.status == 204:
        return Response(204, fields)
    if length is None:
        return Response(head.status, fields, None)
    whole = (*fields, ("Content-Length", str(length)))
    if head.status != 200:
        # Only of a 200 there are parts (RFC 9110 section 14.2).
        return Response(head.status, whole, (Span(0, length),))
    fields = (*fields, _IN_PARTS)
    wanted = applicable_range(asked, validators)
    try:
        spans = () if wanted is None else merge(parse_range(wanted, length), length)
    except Unsatisfiable:
        return _unsatisfied(head, length)
    if not spans:
        return Response(200, (*whole, _IN_PARTS), (Span(0, length),))
    if len(spans) == 1:
        return _part(fields, spans[0], length)
    return _parts(fields, spans, length, boundary)


def _unsatisfied(head: Head, length: int) -> Response:
    return Response(
        416,
        (
            *head.tag,
            _IN_PARTS,
            ("Content-Range", unsatisfied_range(length)),
            ("Content-Length", "0"),
        ),
    )


def _part(fields: Fields, span: Span, length: int) -> Response:
    return Response(
        206,
        (
            *without(fields, *_OF_THE_WHOLE),
            ("Content-Range", content_range(span, length)),
            ("Content-Length", str(span.length)),
        ),
        (span,),
    )


def _parts(fields: Fields, spans: tuple[Span, ...], length: int, boundary: str) -> Response:
    body = multipart(spans, length, first(fields, "content-type"), boundary)
    # No Content-Range of the whole (RFC 9110 section 15.3.7.2).
    return Response(
        206,
        (
            *without(fields, *_OF_THE_WHOLE, "content-type"),
            ("Content-Type", body.content_type),
            ("Content-Length", str(body.length)),
        ),
        body.pieces,
    )


class Responder:
    """Sends answers; knows the fields that all of them carry."""

    def __init__(self, in_thread: InThread, now: Callable[[], float], pseudonym: str) -> None:
        self._in_thread = in_thread
        self._now = now
        self._pseudonym = pseudonym
        self._heads = Heads(self._whole)

    async def respond(
        self,
        request: ClientRequest,
        answer: Answer,
        asked: Fields,
        sent: Callable[[int], None],
        pace: Pace | None = None,
    ) -> None:
        """
        Send ``answer`` and close its body.

        :param asked: the request's fields.
        :param sent: told of octets of the body that went out.
        :param pace: what the client may have, None for as much as it takes.
        :raises BodyBroken: when the body cannot be finished; the connection must then be broken.
        :raises ClientGone: when the connection was lost.
        """
        if request.gone:
            _close(answer)
            raise ClientGone
        match answer.content:
            case Notice():
                self.tell(request, answer, sent)
            case Relayed():
                await self._relayed(request, answer, answer.content, sent, pace)
            case Representation():
                await self._representation(request, answer, answer.content, asked, sent, pace)

    async def _representation(
        self,
        request: ClientRequest,
        answer: Answer,
        content: Representation,
        asked: Fields,
        sent: Callable[[int], None],
        pace: Pace | None,
    ) -> None:
        body = content.body
        try:
            # HEAD has no ranges (RFC 9110 section 14.2).
            known = without(asked, "range") if request.method == b"HEAD" else asked
            response = plan(content, known, secrets.token_hex(12))
            # A refusal is of now, and our own (RFC 9110 section 6.6.1, RFC 9111 section 5.1).
            date = content.head.date if response.status < 400 else None
            self._head(request, answer, response.status, response.fields, date)
            if body is None or response.pieces == ():
                return
            if isinstance(body, bytes):
                octets = _cut(body, response.pieces)
                if pace is not None:
                    await pace.all_of(len(octets))
                request.write(octets)
                sent(len(octets))
                return
            await send(request, body, response.pieces, self._in_thread, sent, pace)
        finally:
            _close(answer)

    async def _relayed(
        self,
        request: ClientRequest,
        answer: Answer,
        content: Relayed,
        sent: Callable[[int], None],
        pace: Pace | None,
    ) -> None:
        body, fields = content.body, end_to_end(content.fields)
        try:
            if content.status in (204, 304):
                body = None
            if body is not None and body.length is not None:
                # What frames a message is no field of it to those who fetched it.
                length = ("Content-Length", str(body.length))
                fields = (*without(fields, "content-length"), length)
            self._head(request, answer, content.status, fields, None)
            if body is not None:
                await pass_on(request, body, sent, pace)
        finally:
            _close(answer)

    def tell(self, request: ClientRequest, answer: Answer, sent: Callable[[int], None]) -> None:
        """Send a short answer of our own."""
        content = answer.content
        assert isinstance(content, Notice), "nothing else is told at once"
        body = content.body
        fields: Fields = ()
        if content.location is not None:
            fields = (("Location", content.location),)
        if content.allow is not None:
            fields = (*fields, ("Allow", content.allow))
        if content.retry_after is not None:
            fields = (*fields, ("Retry-After", str(content.retry_after)))
        if content.passing:
            fields = (*fields, ("Cache-Control", "no-store"))
        if content.status != 204:
            fields = (
                *fields,
                ("Content-Type", content.content_type),
                ("Content-Length", str(len(body))),
            )
        self._head(request, answer, content.status, fields, None)
        if request.method != b"HEAD" and body:
            request.write(body)
            sent(len(body))

    def _head(
        self,
        request: ClientRequest,
        answer: Answer,
        status: int,
        fields: Fields,
        date: float | None,
    ) -> None:
        request.setResponseCode(status)
        request.responseHeaders = headers_of(fields, answer, date, self._now(), self._pseudonym)

    def head_of(self, answer: Answer, content: Representation) -> bytes:
        """Give the head of an answer of 200, with all of a file that is stored, to a plain GET."""
        return self._heads.of(answer, content.head, content.length)

    def _whole(self, answer: Answer) -> bytes:
        assert isinstance(answer.content, Representation), "a file"
        content = answer.content
        fields, date = plan(content, (), "").fields, content.head.date
        headers = headers_of(fields, answer, date, self._now(), self._pseudonym)
        return octets_of(content.head.status, headers)


def _cut(body: bytes, pieces: Pieces | None) -> bytes:
    if pieces is None:
        return body
    return b"".join(
        piece if isinstance(piece, bytes) else body[piece.start : piece.stop] for piece in pieces
    )


def _close(answer: Answer) -> None:
    body = None if isinstance(answer.content, Notice) else answer.content.body
    if body is not None and not isinstance(body, bytes):
        body.close()
