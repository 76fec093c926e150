"""
A request to an upstream, as it goes over the wire.

Twisted's client has a request of its own, which adds to what it is told, and whose response is not
handed on before all of it is out. This one says that it is written when its head is, and sends its
body beside what comes meanwhile (RFC 9112 section 9.5).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import succeed
from twisted.internet.interfaces import IConsumer
from twisted.python.components import proxyForInterface
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest
from zope.interface import implementer

from osproxy.http.fields import first, without
from osproxy.http.messages import RequestHead, serialise_request

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure
    from twisted.web.http_headers import Headers
    from twisted.web.iweb import IBodyProducer

    from osproxy.http.fields import Fields
    from osproxy.upstream.exchange import Exchange
    from osproxy.upstream.line import Line
    from osproxy.upstream.watch import Watch

# Their requests say so if they have no body, since one would be expected (RFC 9110 section 8.6).
_HAVE_BODIES = frozenset({"POST", "PUT", "PATCH"})
# RFC 9110 section 9.2.2; of these, Twisted's client asks again if a kept connection was closed.
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})

_URL = re.compile(
    rb"http(?P<tls>s?)://(?:[^/?#@]*+@)?(?P<host>[^/?#:@\[\]]++|\[[^/?#@\[\]]++\])"
    rb"(?::(?P<port>[0-9]*+))?(?P<target>(?:[/?][^#]*+)?)(?:#.*+)?"
)
_DEFAULT_PORTS = {b"": b"80", b"s": b"443"}


@implementer(IClientRequest)
class Request:
    """
    One request, and its exchange once it is under way.

    :param url: absolute and percent-encoded.
    :param headers: its fields; Host is made of the URL where it is not among them, and how the
        body is framed is not theirs to say.
    :ivar persistent: whether it may use a connection that was kept, and leave it to others. There
        it can happen that the upstream closes just as we ask, so that it must be one that can be
        sent again: RFC 9112 section 9.3.1.
    :raises BadMessage: when it cannot be written.
    :raises ValueError: when the URL is none of http.
    """

    def __init__(
        self,
        method: bytes,
        url: bytes,
        headers: Headers,
        body: IBodyProducer | None,
        watch: Watch,
    ) -> None:
        self.method = method
        self.absoluteURI = url
        self.headers = headers
        self.bodyProducer = body
        self.exchange: Exchange | None = None
        self._method = method.decode("latin-1")
        self.persistent = body is None and self._method in _REPEATABLE
        self._head = _head(self._method, url, headers, body)
        self._watch = watch
        self._line: Line | None = None

    def writeTo(self, line: Line) -> Deferred[None]:  # noqa: N802
        """Send the head, and begin to send the body; this is what Twisted's client calls."""
        self._line = line
        self.exchange = line.begin(self._method, self._head)
        if self.bodyProducer is None:
            self._watch.sent()
        else:
            self._send(line, self.exchange, self.bodyProducer)
        return succeed(None)

    def over(self, result: Any) -> Any:
        """
        Send no more of it, since it is answered or will not be, and hand that on.

        :raises BadMessage: when the answer was none.
        """
        if self.bodyProducer is not None:
            if self._line is not None and self.exchange is not None and self.exchange.sending:
                self._line.unregisterProducer()
                self._line.hush()
            self.bodyProducer.stopProducing()
        if self.exchange is not None and self.exchange.fault is not None:
            raise self.exchange.fault
        return result

    def _send(self, line: Line, exchange: Exchange, body: IBodyProducer) -> None:
        chunked = body.length is UNKNOWN_LENGTH

        def sent(_: object) -> None:
            if chunked:
                line.write(b"0\r\n\r\n")
            line.unregisterProducer()
            exchange.sending = False
            self._watch.sent()

        def broken(failure: Failure) -> None:
            # What is broken off must never look whole, be it by its length or by a last chunk.
            line.abortConnection()
            self._watch.give_up(failure)

        exchange.sending = True
        self._watch.sending()
        line.registerProducer(body, True)
        body.startProducing(_Chunks(line) if chunked else line).addCallbacks(sent, broken)


class _Chunks(proxyForInterface(IConsumer)):  # type: ignore[misc]
    """Frames a body whose length is not known (RFC 9112 section 7.1)."""

    def write(self, data: bytes) -> None:
        if data:
            self.original.writeSequence((b"%x\r\n" % len(data), data, b"\r\n"))


def _head(method: str, url: bytes, headers: Headers, body: IBodyProducer | None) -> bytes:
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError(f"{url!r} is no URL of http")
    target = found["target"]
    if not target.startswith(b"/"):
        target = b"/" + target
    host = found["host"]
    if found["port"] and found["port"] != _DEFAULT_PORTS[found["tls"]]:
        host += b":" + found["port"]
    given = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in headers.getAllRawHeaders()
        for value in values
    )
    fields = (
        ("Host", first(given, "host") or host.decode("latin-1")),
        *without(given, "host", "content-length", "transfer-encoding"),
        *_framing(method, body),
    )
    return serialise_request(RequestHead(method, target, (1, 1), fields))


def _framing(method: str, body: IBodyProducer | None) -> Fields:
    if body is None:
        return (("Content-Length", "0"),) if method in _HAVE_BODIES else ()
    if body.length is UNKNOWN_LENGTH:
        return (("Transfer-Encoding", "chunked"),)
    return (("Content-Length", str(body.length)),)
