"""
What must hold whatever comes.

A target is given an input and the same one in pieces, says whether something of it was taken for
good, and raises if what must hold does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.http import HTTPChannel
from twisted.web.http import Request as TwistedRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from osproxy.http.chunked import ChunkedDecoder
from osproxy.http.lines import BadMessage
from osproxy.http.messages import (
    End,
    parse_request_head,
    parse_response_head,
    serialise_request,
    serialise_response,
)
from osproxy.model import BodyBroken
from osproxy.web.channel import Channel
from osproxy.web.connections import Connections
from osproxy.web.incoming import bare
from tests.fuzz.inputs import CHUNKED, REQUESTS, RESPONSES
from tests.fuzz.readings import READINGS
from tests.web.clients import Wire, site_of

if TYPE_CHECKING:
    from osproxy.http.messages import RequestHead
    from osproxy.web.request import ClientRequest


def request_heads(octets: bytes, pieces: Sequence[bytes]) -> bool:
    """A head is refused with a known status, or what is written of it is read as the same."""
    try:
        head = parse_request_head(octets)
    except BadMessage as error:
        assert error.status in (400, 414, 431, 501, 505), error.status
        return False
    assert parse_request_head(serialise_request(head)) == head
    assert bare(head).framing is End.NO_BODY
    return True


def response_heads(octets: bytes, pieces: Sequence[bytes]) -> bool:
    """A head is refused, or written and read as the same; so is how its body ends."""
    try:
        head = parse_response_head(octets)
    except BadMessage:
        return False
    again = parse_response_head(serialise_response(head))
    assert again == head
    for method in ("GET", "HEAD"):
        try:
            framing = head.framing(method)
        except BadMessage:
            continue
        assert again.framing(method) == framing
    return True


def chunks(octets: bytes, pieces: Sequence[bytes]) -> bool:
    """A chunked body is refused or not, and comes to the same, however it is cut."""
    whole = _decoded([octets])
    assert _decoded(pieces) == whole
    return whole is not None and whole[2]


def _decoded(pieces: Sequence[bytes]) -> tuple[bytes, bytes, bool] | None:
    decoder, buffer, content = ChunkedDecoder(), bytearray(), bytearray()
    try:
        for piece in pieces:
            buffer += piece
            while more := decoder.take(buffer):
                content += more
    except BadMessage:
        return None
    return bytes(content), bytes(buffer), decoder.done


@frozen
class Seen:
    """A request that came whole; names of fields in lower case, those that frame it left out."""

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, tuple[bytes, ...]], ...]
    content: bytes


_LEFT_OUT = (b"content-length", b"transfer-encoding", b"expect")


def _seen(request: Any, content: bytes) -> Seen:
    fields = (
        (name.lower(), tuple(values)) for name, values in request.requestHeaders.getAllRawHeaders()
    )
    kept = sorted(item for item in fields if item[0] not in _LEFT_OUT)
    return Seen(request.method, request.uri, tuple(kept), content)


def _of_head(head: RequestHead, content: bytes) -> Seen:
    fields: dict[bytes, list[bytes]] = {}
    for name, value in head.fields:
        fields.setdefault(name.lower().encode(), []).append(value.encode("latin-1"))
    kept = sorted((name, tuple(it)) for name, it in fields.items() if name not in _LEFT_OUT)
    return Seen(head.method.encode(), head.target, tuple(kept), content)


class Takes(Resource):
    """Takes the content of each request and answers; keeps what came whole."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Seen] = []

    def render(self, request: ClientRequest) -> int:
        """Answer, sooner or later."""
        Deferred.fromCoroutine(self._take(request)).addErrback(lambda failure: self.failed(failure))
        return NOT_DONE_YET

    async def _take(self, request: ClientRequest) -> None:
        content = bytearray()
        try:
            if request.content is not None:
                await request.content.deliver(content.extend)
        except BodyBroken:
            request.setResponseCode(400)
        else:
            if request.refusal is None:
                read = _of_head(request.head, bytes(content))
                assert _seen(request, bytes(content)) == evolve(read, fields=()), (request, read)
                self.seen.append(read)
        if not request.gone:
            request.setHeader("Content-Length", "0")
            request.finish()

    def failed(self, failure: Any) -> None:
        """Let what went wrong come out."""
        self.seen.append(failure)


def _ours(pieces: Sequence[bytes]) -> list[Seen]:
    """Have our channel read it: what Twisted makes of each first line is what we read."""
    takes = Takes()
    site = site_of(takes, Connections(1, 1), Clock())
    channel, wire = Channel(), Wire(peerAddress=IPv4Address("TCP", "192.0.2.1", 4000))
    channel.site, channel.requestFactory = site, site.requestFactory
    channel.makeConnection(wire)
    for piece in pieces:
        if not wire.disconnecting:
            channel.dataReceived(piece)
    channel.connectionLost()
    for seen in takes.seen:
        if not isinstance(seen, Seen):
            seen.raiseException()
    return takes.seen


class _StockRequest(TwistedRequest):
    """A request that is answered once it has come whole."""

    channel: _Stock

    def process(self) -> None:
        """Keep it, and answer."""
        assert self.content is not None
        self.channel.seen.append(_seen(self, self.content.read()))
        self.setHeader("Content-Length", "0")
        self.finish()


class _Stock(HTTPChannel):
    """Twisted's own channel."""

    requestFactory = _StockRequest
    timeOut = None

    def __init__(self) -> None:
        HTTPChannel.__init__(self)
        self.seen: list[Seen] = []


def _twisted(octets: bytes) -> list[Seen]:
    stock = _Stock()
    stock.makeConnection(StringTransport())
    stock.dataReceived(octets)
    return stock.seen


def connections(octets: bytes, pieces: Sequence[bytes]) -> bool:
    """
    What we read on a connection is what others read.

    That is Twisted's channel behind ours, of each head that it is handed; ourselves, when it comes
    in pieces; Twisted's channel in our place, as far as both go on; and those who are lax.
    """
    whole = _ours([octets])
    assert _ours(pieces) == whole, (whole, _ours(pieces))
    for ours, other in zip(whole, _twisted(octets), strict=False):
        assert ours == other, (ours, other)
    expected = [(one.method, one.target, one.content) for one in whole]
    for reading in READINGS:
        found = [(*first.split(b" ")[:2], content) for first, content in reading.requests(octets)]
        assert found[: len(expected)] == expected, (reading, found, expected)
    return bool(whole)


Target = tuple[Callable[[bytes, Sequence[bytes]], bool], tuple[bytes, ...]]
"""What must hold, and what inputs for it are made of."""

TARGETS: tuple[Target, ...] = (
    (request_heads, REQUESTS),
    (response_heads, RESPONSES),
    (chunks, CHUNKED),
    (connections, REQUESTS),
)
