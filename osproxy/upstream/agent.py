"""
Exact octets over the wire.

treq asks for gzip and unpacks it behind one's back, and keeps cookies; a cache of signed files can
have neither. `ExactAgent` lies below it and lets nothing of that through. It also knows how long
an upstream may take to connect and to answer. What it has to know of the connection itself is in
`osproxy.upstream.line`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IAgentEndpointFactory
from zope.interface import implementer

from osproxy.http.fields import every
from osproxy.upstream.line import LineFactory, Reading, Unmeasured

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IProtocol, IStreamClientEndpoint
    from twisted.python.failure import Failure
    from twisted.web.client import URI
    from twisted.web.iweb import IBodyProducer, IPolicyForHTTPS, IResponse

#: Where the upstream's Content-Encoding is put, out of treq's sight.
HIDDEN_ENCODING = b"X-Osproxy-Content-Encoding"


class TookTooLong(Exception):
    """An upstream did not connect, or did not answer, in time; the text says which."""


class Ambiguous(Exception):
    """An upstream says in two ways where a body ends (RFC 9112 section 6.1)."""


@implementer(IAgent)
class ExactAgent:
    """
    Asks for a file as it is, and hands it on as it comes.

    Connections are kept and used again.

    :param connect_timeout: seconds until there is a connection.
    :param head_timeout: seconds from then until the head of the response.
    """

    def __init__(
        self,
        reactor: Any,
        policy: IPolicyForHTTPS,
        *,
        connect_timeout: float,
        head_timeout: float,
    ) -> None:
        self._reactor = reactor
        self._policy = policy
        self._connect_timeout = connect_timeout
        self._head_timeout = head_timeout
        self._pool = _Pool(reactor)
        self._reading = Reading()

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,  # noqa: N803
    ) -> Deferred[IResponse]:
        """
        See `twisted.web.iweb.IAgent.request`.

        Fails with `TookTooLong` and `Ambiguous`, too.
        """
        asked = Headers() if headers is None else headers.copy()
        asked.setRawHeaders(b"Accept-Encoding", [b"identity"])
        asked.removeHeader(b"Cookie")
        watch = _Watch(self._reactor, self._connect_timeout, self._head_timeout)
        endpoints = _Endpoints(self._reactor, self._policy, watch, self._reading)
        agent = Agent.usingEndpointFactory(self._reactor, endpoints, self._pool)
        watch.answered = agent.request(method, uri, asked, bodyProducer)
        exact: Deferred[IResponse] = Deferred(lambda _: watch.give_up(CancelledError()))
        watch.answered.addBoth(watch.ended).addCallback(self._exact).chainDeferred(exact)
        return exact

    def close(self) -> Deferred[None]:
        """Close the connections that are kept."""
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed

    def _exact(self, response: IResponse) -> IResponse:
        line = self._reading.line
        assert line is not None, "a response comes with octets"
        said = line.head.fields()
        if every(said, "content-length") and every(said, "transfer-encoding"):
            line.abort()
            raise Ambiguous
        headers = response.headers
        # Twisted keeps it to itself, but it tells which other fields are meant for us alone.
        headers.setRawHeaders("Connection", every(said, "connection"))
        encodings = headers.getRawHeaders(b"Content-Encoding")
        headers.removeHeader(HIDDEN_ENCODING)
        if encodings is not None:
            headers.setRawHeaders(HIDDEN_ENCODING, encodings)
            headers.removeHeader(b"Content-Encoding")
        headers.removeHeader(b"Set-Cookie")
        return Unmeasured(response, line) if response.length is UNKNOWN_LENGTH else response


class _Watch:
    """
    Gives an upstream its time to connect, and then its time to answer.

    :ivar answered: what is cancelled when the time is over.
    """

    def __init__(self, clock: Any, connect_timeout: float, head_timeout: float) -> None:
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._head_timeout = head_timeout
        self._why: Exception | None = None
        self._call: IDelayedCall | None = None
        self.answered: Deferred[IResponse] | None = None

    def connecting(self) -> None:
        """Give the time to connect from now, also when it is a second connection."""
        self._await(self._connect_timeout, "did not connect")

    def connected(self) -> None:
        """Give the time to answer from now."""
        self._await(self._head_timeout, "did not answer")

    def ended(self, result: IResponse | Failure) -> IResponse | Failure:
        """Stop watching; say so if it was we who ended it."""
        self._cancel()
        if self._why is not None:
            raise self._why
        return result

    def give_up(self, why: Exception) -> None:
        """End the question; whatever that looks like further down, this is why."""
        self._cancel()
        self._why = why
        assert self.answered is not None
        self.answered.cancel()

    def _await(self, seconds: float, what: str) -> None:
        self._cancel()
        why = TookTooLong(f"{what} within {seconds:g} s")
        self._call = self._clock.callLater(seconds, self._too_late, why)

    def _too_late(self, why: TookTooLong) -> None:
        self._call = None
        self.give_up(why)

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()
        self._call = None


class _Pool(HTTPConnectionPool):
    """Keeps connections, and tells the watch of a request that takes one."""

    maxPersistentPerHost = 16
    cachedConnectionTimeout = 60

    def getConnection(self, key: Any, endpoint: Any) -> Deferred[Any]:
        """See `HTTPConnectionPool.getConnection`; the endpoint is an `_Endpoint`."""
        # If none is kept, the endpoint is asked to connect, and says so at once.
        endpoint.watch.connected()
        return super().getConnection(key, endpoint)


@define(eq=False)
class _Endpoint:
    """An endpoint whose connections are lines, and the watch of its request."""

    inner: IStreamClientEndpoint
    watch: _Watch
    reading: Reading

    def connect(self, factory: Any) -> Deferred[IProtocol]:
        self.watch.connecting()
        connecting: Deferred[Any] = self.inner.connect(LineFactory(factory, self.reading))
        return connecting.addCallback(self._connected)

    def _connected(self, line: Any) -> IProtocol:
        self.watch.connected()
        protocol: IProtocol = line.wrappedProtocol
        return protocol


@implementer(IAgentEndpointFactory)
@define(eq=False)
class _Endpoints:
    reactor: Any
    policy: IPolicyForHTTPS
    watch: _Watch
    reading: Reading

    def endpointForURI(self, uri: URI) -> _Endpoint:
        endpoint: Any = HostnameEndpoint(self.reactor, uri.host.decode("ascii"), uri.port)
        if uri.scheme == b"https":
            creator = self.policy.creatorForNetloc(uri.host, uri.port)
            endpoint = wrapClientTLS(creator, endpoint)
        return _Endpoint(endpoint, self.watch, self.reading)
