"""
What comes in answer to one request, judged before anybody else reads it.

Twisted's client reads leniently: it takes lines without CR, lengths and codings that contradict
each other, and an answer to nobody's question. So it is handed no octet that was not understood
here, and of a head no more than how its body ends. What a head says besides is had from the
`Exchange`.
"""

from __future__ import annotations

from osproxy.http.chunked import ChunkedDecoder
from osproxy.http.fields import every, first, tokens
from osproxy.http.lines import BadMessage, HeadReader
from osproxy.http.messages import (
    End,
    Framing,
    ResponseHead,
    parse_response_head,
    serialise_response,
)

#: Interim responses to one request; a server needs one or two.
INTERIM_AT_MOST = 16
# Octets of chunks that are copied at once to be looked at; if it were all that is read at once,
# large chunks would take up to twice the CPU.
_JUDGED_AT_ONCE = 64 << 10


class Exchange:
    """
    A request, and the response to it as it comes in.

    :ivar method: of the request.
    :ivar sending: whether the request is still on its way out.
    :ivar head: of the response, once it is there; never an interim one.
    :ivar length: octets of the body, None while or where that is not known; for HEAD those that
        GET would bring.
    :ivar complete: whether the response has come whole.
    :ivar fault: what was wrong with it.
    """

    def __init__(self, method: str) -> None:
        self.method = method
        self.sending = False
        self.head: ResponseHead | None = None
        self.length: int | None = None
        self.complete = False
        self.fault: BadMessage | None = None
        self._reader = HeadReader()
        self._interim = 0
        self._framing: Framing = End.CLOSE
        self._left = 0
        self._chunks = ChunkedDecoder()
        self._buffer = bytearray()

    @property
    def over(self) -> bool:
        """Whether nothing more may come."""
        return self.complete or self.fault is not None

    def take(self, data: bytes) -> bytes:
        """
        Take what came, and return what Twisted's client is to have of it.

        Once there is a `fault` that is nothing, not even what was good before it.
        """
        try:
            return self._take_body(data) if self.head is not None else self._take_head(data)
        except BadMessage as error:
            self.fault = error
            return b""

    def end(self, *, cleanly: bool) -> None:
        """
        Take note that the connection has ended.

        Where nothing else says where a body ends this does, but only if the connection was closed
        rather than broken off (RFC 9112 section 8).
        """
        if self.head is not None and self._framing is End.CLOSE and not self.over:
            self.complete = cleanly

    def _take_head(self, data: bytes) -> bytes:
        self._buffer += data
        while (octets := self._reader.take(self._buffer)) is not None:
            head = parse_response_head(octets)
            framing = head.framing(self.method)
            if head.status >= 200:
                return self._begin(head, framing)
            self._pass_over(head)
        return b""

    def _pass_over(self, head: ResponseHead) -> None:
        """
        Drop an interim response, which is not ours to keep.

        RFC 9110 section 15.2 would have a proxy hand it on. But apt and Python's own client, among
        those that ask us, take one that is no 100 for the response itself.
        """
        if head.status == 101:
            # Section 7.8: nobody has asked for another protocol.
            raise BadMessage("a change to another protocol")
        self._interim += 1
        if self._interim > INTERIM_AT_MOST:
            raise BadMessage(f"more than {INTERIM_AT_MOST} interim responses")
        self._reader = HeadReader()

    def _begin(self, head: ResponseHead, framing: Framing) -> bytes:
        rest, self._buffer = bytes(self._buffer), bytearray()
        self.head, self._framing = head, framing
        self.length = self._length(head, framing)
        self._left = 0 if isinstance(framing, End) else framing
        self.complete = framing is End.NO_BODY or framing == 0
        # Octets behind what has no body end the connection, but do not make that wrong: who sends
        # a body with a 304 is clumsy, and there is none that could be taken for whole.
        last = self._last(head) or (framing is End.NO_BODY and bool(rest))
        body = self._take_body(rest) if rest and framing is not End.NO_BODY else b""
        return serialise_response(_essence(head, framing, last=last)) + body

    def _length(self, head: ResponseHead, framing: Framing) -> int | None:
        if self.method == "HEAD":
            stated = first(head.fields, "content-length")
            return None if stated is None else int(stated)
        if framing is End.NO_BODY:
            return 0
        return None if isinstance(framing, End) else framing

    def _last(self, head: ResponseHead) -> bool:
        """Whether no other request can follow on this connection (RFC 9112 section 9.3)."""
        options = {
            option.lower() for value in every(head.fields, "connection") for option in tokens(value)
        }
        persistent = head.version >= (1, 1) or "keep-alive" in options
        # Section 9.5: a body that is wanted no more is not sent on.
        return self.sending or "close" in options or not persistent

    def _take_body(self, data: bytes) -> bytes:
        if self._framing is End.CLOSE:
            return data
        if self._framing is End.CHUNKED:
            return self._take_chunks(data)
        if len(data) > self._left:
            # RFC 9112 section 6.3: it may well be the length that is wrong.
            raise BadMessage("a body that is longer than it says")
        self._left -= len(data)
        self.complete = not self._left
        return data

    def _take_chunks(self, data: bytes) -> bytes:
        """Let chunks pass that are what they should be; Twisted's client takes them apart."""
        with memoryview(data) as octets:
            for begin in range(0, len(data), _JUDGED_AT_ONCE):
                self._buffer += octets[begin : begin + _JUDGED_AT_ONCE]
                while self._chunks.take(self._buffer):
                    pass
        if self._chunks.done:
            if self._buffer:
                raise BadMessage("octets behind the last chunk")
            self.complete = True
        return data


def _essence(head: ResponseHead, framing: Framing, *, last: bool) -> ResponseHead:
    """Say of a head where its body ends, and no more."""
    fields: list[tuple[str, str]] = []
    if framing is End.CHUNKED:
        fields.append(("Transfer-Encoding", "chunked"))
    elif not isinstance(framing, End):
        fields.append(("Content-Length", str(framing)))
    if last:
        fields.append(("Connection", "close"))
    return ResponseHead((1, 1), head.status, "", tuple(fields))
