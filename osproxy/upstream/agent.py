"""
Exact octets over the wire.

`ExactAgent` adds nothing to what it is told to ask, and changes nothing of what is answered. It
keeps connections, and knows how long an upstream may take to connect and to answer. What lies
between it and the wire: `osproxy.upstream.request` goes out by a `osproxy.upstream.line`, and what
comes in is judged by an `osproxy.upstream.exchange`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.components import proxyForInterface
from twisted.python.failure import Failure
from twisted.web.client import URI, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from osproxy.upstream.line import LineFactory
from osproxy.upstream.request import Request
from osproxy.upstream.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IProtocol
    from twisted.web.iweb import IBodyProducer, IPolicyForHTTPS

    from osproxy.upstream.exchange import Exchange


class ExactResponse(proxyForInterface(IResponse)):  # type: ignore[misc]
    """
    A response of Twisted's client, which knows of it how the body ends.

    :ivar exchange: what else there is to know.
    """

    def __init__(self, original: IResponse, exchange: Exchange) -> None:
        super().__init__(original)
        self.exchange = exchange


@implementer(IAgent)
class ExactAgent:
    """
    Asks upstreams, by connections that are kept and used again.

    :ivar connect_timeout: seconds until there is a connection.
    :ivar head_timeout: seconds from then, or from the end of the request's body, until the head
        of the response.
    :ivar connections: how many there are, those that are kept included.
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
        self.connect_timeout = connect_timeout
        self.head_timeout = head_timeout
        self.connections = 0
        self._kept = HTTPConnectionPool(reactor)
        self._kept.maxPersistentPerHost = 16
        self._kept.cachedConnectionTimeout = 60
        self._unkept = HTTPConnectionPool(reactor, persistent=False)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,  # noqa: N803
    ) -> Deferred[IResponse]:
        """
        See `twisted.web.iweb.IAgent.request`; the response is an `ExactResponse`.

        Fails with `TookTooLong`, with `BadMessage` when the answer makes no sense, and as the body
        does. No more of the body is sent once there is a response.
        """
        watch = Watch(self._reactor, self.connect_timeout, self.head_timeout)
        request = Request(
            method, uri, Headers() if headers is None else headers, bodyProducer, watch
        )
        place = URI.fromBytes(uri)
        pool = self._kept if request.persistent else self._unkept
        connecting: Deferred[Any] = pool.getConnection(
            (place.scheme, place.host, place.port), self._endpoint(place, watch)
        )
        watch.answered = connecting.addCallback(lambda connection: connection.request(request))
        exact: Deferred[IResponse] = Deferred(lambda _: watch.give_up(Failure(CancelledError())))
        watch.answered.addBoth(request.over).addBoth(watch.ended)
        watch.answered.addCallback(_exact, request).chainDeferred(exact)
        return exact

    def close(self) -> Deferred[None]:
        """Close the connections that are kept."""
        closed: Deferred[None] = self._kept.closeCachedConnections()
        return closed

    def _endpoint(self, place: URI, watch: Watch) -> _Endpoint:
        endpoint: Any = HostnameEndpoint(self._reactor, place.host.decode("ascii"), place.port)
        if place.scheme == b"https":
            creator = self._policy.creatorForNetloc(place.host, place.port)
            endpoint = wrapClientTLS(creator, endpoint)
        return _Endpoint(endpoint, watch, self._count)

    def _count(self, change: int) -> None:
        self.connections += change


def _exact(response: IResponse, request: Request) -> IResponse:
    assert request.exchange is not None, "an answer follows a question"
    return ExactResponse(response, request.exchange)


@implementer(IStreamClientEndpoint)
@define(eq=False)
class _Endpoint:
    """An endpoint whose connections are lines, and the watch of its request."""

    inner: IStreamClientEndpoint
    watch: Watch
    count: Callable[[int], None]

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:  # noqa: N803
        self.watch.connecting()
        connecting: Deferred[Any] = self.inner.connect(LineFactory(protocolFactory, self.count))
        return connecting.addCallback(lambda line: line.wrappedProtocol)
