"""
HTTP in, HTTP out.

Every request comes here: may this client ask, is it a method we know, which backend's file is
meant. The cache is asked, and what it says is sent. Whatever goes wrong ends here too, in the one
place that turns exceptions into statuses and broken connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from osproxy.config.clients import allows
from osproxy.http.cachestatus import CacheStatus
from osproxy.http.fields import first
from osproxy.http.paths import BadTarget, below, canonical_path, parse_target
from osproxy.model import Answer, Asked, BodyBroken, Notice, Target
from osproxy.web.accesslog import Record
from osproxy.web.body import ClientGone
from osproxy.web.content import BadContent
from osproxy.web.sockets import UNIX, address_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from twisted.internet.interfaces import IReactorTime

    from osproxy.cache.cache import Cache
    from osproxy.http.fields import Fields
    from osproxy.http.paths import RequestTarget
    from osproxy.metrics import Metrics
    from osproxy.model import Backend
    from osproxy.repo.kinds import Kind
    from osproxy.web.accesslog import AccessLog
    from osproxy.web.pages.own import OwnPages
    from osproxy.web.request import ClientRequest
    from osproxy.web.respond import Responder

_ALLOWED = "GET, HEAD"
# nginx's word in its log for a client that left before its answer was complete.
_CLIENT_LEFT = 499


class Refused(Exception):
    """A request that is answered without the cache, with a status and a line that says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@define(eq=False)
class Exchange:
    """
    One request on its way to its response, and what the access log will say of it.

    Times are seconds since the epoch.

    :ivar ended: what it came to, where that is not the status that the client was told.
    :ivar cut: whether it failed after the client was told a status.
    """

    request: ClientRequest
    fields: Fields
    client: str
    began: float
    first_octet: float | None = None
    octets: int = 0
    cache_status: CacheStatus = field(factory=CacheStatus)
    kind: Kind | None = None
    source: str = ""
    ended: int | None = None
    cut: bool = False


class Root(Resource):
    """The resource of every path."""

    isLeaf = True
    _log = Logger()

    def __init__(
        self,
        cache: Cache,
        backends: Sequence[Backend],
        clients: Sequence[IPv4Network | IPv6Network],
        pages: OwnPages,
        responder: Responder,
        access_log: AccessLog,
        metrics: Metrics,
        clock: IReactorTime,
    ) -> None:
        super().__init__()
        self._cache = cache
        self._backends = sorted(backends, key=lambda backend: -len(backend.prefix))
        self._clients = clients
        self._pages = pages
        self._responder = responder
        self._access_log = access_log
        self._metrics = metrics
        self._clock = clock

    def render(self, request: ClientRequest) -> int:
        """Answer, sooner or later; a client that leaves cancels what is done for it alone."""
        exchange = Exchange(
            request,
            request.head.fields,
            request.channel.peer,
            self._clock.seconds(),
        )
        running = Deferred.fromCoroutine(self._exchange(exchange))
        gone = request.notifyFinish()
        gone.addErrback(lambda _: running.cancel())
        running.addErrback(
            lambda failure: self._log.failure("answering {uri}", failure, uri=request.uri)
        )
        return NOT_DONE_YET

    async def _exchange(self, exchange: Exchange) -> None:
        request = exchange.request
        try:
            answer = await self._answer(exchange)
            exchange.cache_status, exchange.kind = answer.cache_status, answer.kind
            exchange.source = answer.source
            await self._responder.respond(request, answer, exchange.fields, self._counter(exchange))
            if request.gone:
                raise ClientGone
            request.finish()
        except CancelledError:
            exchange.ended = _CLIENT_LEFT
        except ClientGone:
            # The socket may say so before its transport has noticed.
            exchange.ended = _CLIENT_LEFT
            self._break(exchange)
        except Exception as error:
            self._failed(exchange, error)
        finally:
            self._account(exchange)

    def _failed(self, exchange: Exchange, error: Exception) -> None:
        """Find out whose fault it is, and tell the log and the client."""
        request = exchange.request
        if request.gone:
            # What was under way for a client ends in one way or another when it leaves.
            exchange.ended = _CLIENT_LEFT
            self._log.debug("{uri} was given up: {error!r}", uri=request.uri, error=error)
        elif isinstance(error, BadContent):
            self._fail(exchange, 400, f"{error}.")
        elif isinstance(error, BodyBroken):
            self._log.warn("{uri} is cut: {error}", uri=request.uri, error=error)
            self._fail(exchange, 502, f"{error}.")
        else:
            self._log.failure("answering {uri}", Failure(error), uri=request.uri)
            self._fail(exchange, 500, "An error of this proxy's; its log has more.")

    async def _answer(self, exchange: Exchange) -> Answer:
        request = exchange.request
        try:
            self._admit(exchange)
            asked, path = _asked_for(request)
            host = None if _is_ourselves(request, asked.host) else asked.host
            page = None if host is not None else self._pages.own_page(path)
            if page is not None:
                return _own(Notice(page.status, page.body, page.content_type))
            backend, target = self._find(host, path)
        except Refused as refused:
            if refused.status == 405:
                request.setHeader("Allow", _ALLOWED)
            return _own(Notice(refused.status, f"{refused}\n".encode()))
        return await self._cache.obtain(
            backend,
            target,
            Asked(
                head=request.head.method == "HEAD",
                query=asked.query,
                fields=exchange.fields,
                client=exchange.client,
                connection=request.channel.number,
            ),
        )

    def _admit(self, exchange: Exchange) -> None:
        if exchange.client != UNIX and not allows(self._clients, exchange.client):
            raise Refused(403, f"{exchange.client} may not use this proxy.")
        request = exchange.request
        if request.refusal is not None:
            raise Refused(request.refusal.status, f"{request.refusal}.")
        if request.head.method == "CONNECT":
            raise Refused(
                405, "No tunnels here: use http:// URLs with this proxy, or name it in baseurl."
            )
        if request.head.method not in ("GET", "HEAD"):
            raise Refused(405, f"Only {_ALLOWED} are answered.")
        if request.head.expectations - {"100-continue"}:
            # RFC 9110 section 10.1.1.
            raise Refused(417, "No expectation but 100-continue is met.")

    def _find(self, host: str | None, path: str) -> tuple[Backend, Target]:
        if host is not None:
            for backend in self._backends:
                if host in backend.hosts:
                    return backend, Target(backend.prefix, path)
            raise Refused(403, f"{host} is not served by this proxy.")
        for backend in self._backends:
            rest = below(backend.prefix, path)
            if rest is not None:
                return backend, Target(backend.prefix, rest)
        raise Refused(404, "No backend serves this path.")

    def _counter(self, exchange: Exchange) -> Callable[[int], None]:
        def sent(octets: int) -> None:
            if exchange.first_octet is None:
                exchange.first_octet = self._clock.seconds()
            exchange.octets += octets

        return sent

    def _break(self, exchange: Exchange) -> None:
        """End the connection so that nobody takes the body for complete."""
        if not exchange.request.gone:
            exchange.request.channel.abort()

    def _fail(self, exchange: Exchange, status: int, text: str) -> None:
        """Say what went wrong while that can be said; else break the connection."""
        request = exchange.request
        if request.startedWriting:
            exchange.cut = True
            self._break(exchange)
            return
        body = f"{text}\n".encode()
        request.setResponseCode(status)
        request.responseHeaders = Headers(
            {"Content-Type": ["text/plain; charset=utf-8"], "Content-Length": [str(len(body))]}
        )
        request.write(body)
        if request.method != b"HEAD":
            self._counter(exchange)(len(body))
        request.finish()

    def _account(self, exchange: Exchange) -> None:
        now = self._clock.seconds()
        outcome = exchange.cache_status.outcome
        kind = "own" if exchange.kind is None else exchange.kind.value
        self._metrics.requests.labels(outcome, kind).inc()
        self._metrics.sent.labels(outcome, kind).inc(exchange.octets)
        request = exchange.request
        head = request.head
        self._access_log.add(
            Record(
                client=exchange.client,
                at=exchange.began,
                method=head.method,
                target=head.target.decode("latin-1"),
                protocol="HTTP/{}.{}".format(*head.version),
                status=exchange.ended or request.code,
                sent=exchange.octets,
                referrer=first(exchange.fields, "referer"),
                agent=first(exchange.fields, "user-agent"),
                cache_status=outcome,
                source=exchange.source or None,
                first=exchange.first_octet and exchange.first_octet - exchange.began,
                total=now - exchange.began,
                cut=exchange.cut,
            )
        )


def _asked_for(request: ClientRequest) -> tuple[RequestTarget, str]:
    try:
        asked = parse_target(request.head.target)
        return asked, canonical_path(asked.path)
    except BadTarget as error:
        raise Refused(400, f"{error}.") from error


def _own(notice: Notice) -> Answer:
    return Answer(notice, CacheStatus(), None)


def _is_ourselves(request: ClientRequest, host: str | None) -> bool:
    """Whether an absolute-form target names the very address that it was sent to."""
    ours = request.getHost()
    if not isinstance(ours, IPv4Address | IPv6Address):
        return False
    name = address_text(ours)
    name = f"[{name}]" if ":" in name else name
    return host == f"{name}:{ours.port}" or (host == name and ours.port in (80, 443))
