"""
HTTP in, HTTP out.

Every request comes here: may this client ask, is it a method we know, which backend's file is
meant. The cache is asked, and what it says is sent. Whatever goes wrong ends here too, in the one
place that turns exceptions into statuses and broken connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, evolve, field
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from osproxy.http import methods, via
from osproxy.http.cachestatus import CacheStatus
from osproxy.http.fields import first, without
from osproxy.model import Answer, Asked, BodyBroken, Notice
from osproxy.repo.identity import anonymous
from osproxy.web.body import ClientGone
from osproxy.web.content import BadContent
from osproxy.web.pages.own import is_own
from osproxy.web.record import Record
from osproxy.web.routing import Refused, permit, place_of
from osproxy.web.sockets import address_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from osproxy.cache.cache import Cache
    from osproxy.http.fields import Fields
    from osproxy.model import Backend, Target
    from osproxy.repo.kinds import Kind
    from osproxy.web.access import Access
    from osproxy.web.accounting import Accounting
    from osproxy.web.challenges import Challenges
    from osproxy.web.limits import Limits
    from osproxy.web.pages.own import OwnPages
    from osproxy.web.request import ClientRequest
    from osproxy.web.respond import Responder
    from osproxy.web.routing import Place, Routes

# nginx's word in its log for a client that left before its answer was complete.
_CLIENT_LEFT = 499


@define(eq=False)
class Exchange:
    """
    One request on its way to its response, and what the access log will say of it.

    Times are seconds since the epoch.

    :ivar client: the address of who asks, or what stands for it; not known where two were named.
    :ivar sender: that of the other end of the connection, which may be a proxy.
    :ivar known: whether it is known who asks; where it is not, the sender counts as the client.
    :ivar ended: what it came to, where that is not the status that the client was told.
    :ivar cut: whether it failed after the client was told a status.
    """

    request: ClientRequest
    fields: Fields
    client: str
    sender: str
    known: bool
    began: float
    first_octet: float | None = None
    octets: int = 0
    cache_status: CacheStatus = field(factory=CacheStatus)
    kind: Kind | None = None
    source: str = ""
    ended: int | None = None
    cut: bool = False


class Root(Resource):
    """
    The resource of every path. What it was made with may be changed between two requests.

    :ivar access: who may ask.
    :ivar limits: how often, and how fast they are answered.
    :ivar body_size: octets that one request to a generic backend may bring.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self,
        cache: Cache,
        routes: Routes,
        access: Access,
        pages: OwnPages,
        challenges: Challenges,
        limits: Limits,
        responder: Responder,
        accounting: Accounting,
        clock: IReactorTime,
        *,
        pseudonym: str,
        body_size: int,
    ) -> None:
        """
        Make it.

        :param pseudonym: our own, of which there is no second one (RFC 9110 section 7.6.3).
        """
        super().__init__()
        self._cache = cache
        self.routes = routes
        self.access = access
        self.challenges = challenges
        self.limits = limits
        self._pages = pages
        self._responder = responder
        self._accounting = accounting
        self._clock = clock
        self._pseudonym = pseudonym
        self.body_size = body_size

    def render(self, request: ClientRequest) -> int:
        """Answer, sooner or later; a client that leaves cancels what is done for it alone."""
        fields, sender = request.head.fields, request.channel.peer
        asker = self.access.asker(fields, sender)
        exchange = Exchange(
            request,
            fields,
            sender if asker is None else asker,
            sender,
            asker is not None,
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
            await self._responder.respond(
                request,
                answer,
                exchange.fields,
                self._counter(exchange),
                self.limits.pace(exchange.client),
            )
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
        elif (trouble := _trouble_with(request, error)) is not None:
            self._fail(exchange, trouble.status, f"{trouble}.")
        elif isinstance(error, BodyBroken):
            self._log.warn("{uri} is cut: {error}", uri=request.uri, error=error)
            self._fail(exchange, 502, f"{error}.")
        else:
            self._log.failure("answering {uri}", Failure(error), uri=request.uri)
            self._fail(exchange, 500, "An error of this proxy's; its log has more.")

    async def _answer(self, exchange: Exchange) -> Answer:
        request = exchange.request
        try:
            challenge = await self._challenge(request)
            if challenge is not None:
                return _own(challenge)
            try:
                meant = self._meant(exchange)
            except Refused:
                # Who may not ask is not told what else is wrong.
                self.access.admit(exchange.client, None)
                raise
            if isinstance(meant, Notice):
                return _own(meant)
            place, backend, target = meant
            self.access.admit(exchange.client, backend)
            # Who watches over the server is answered whatever there is of others.
            await self.limits.admit(exchange.client, request.channel)
            permit(request.head.method, backend)
            asked = self._asked(exchange, place, backend)
        except Refused as refused:
            return _own(
                Notice(
                    refused.status,
                    f"{refused}\n".encode(),
                    allow=refused.allowed,
                    retry_after=refused.retry_after,
                )
            )
        return await self._cache.obtain(backend, target, asked)

    def _meant(self, exchange: Exchange) -> Notice | tuple[Place, Backend, Target]:
        """
        Find what is asked for: something of our own, for whom that is, or a backend's file.

        :raises Refused: when it is neither, and for what no request may have.
        """
        request = exchange.request
        self._check(exchange)
        if request.head.method == "OPTIONS" and request.head.target == b"*":
            # About the proxy as a whole (RFC 9110 section 9.3.7).
            self.access.admit(exchange.client, None)
            return Notice(204, allow=methods.allow(reading=False))
        if request.head.method == "CONNECT":
            permit("CONNECT", None)
        place = place_of(request.head.target)
        if place.host is not None:
            # Whatever the field says (RFC 9112 section 3.2.2).
            exchange.fields = (*without(exchange.fields, "host"), ("Host", place.host))
        if _is_ourselves(request, place.host):
            place = evolve(place, host=None)
        if place.host is None and is_own(place.path):
            self.access.admit(exchange.client, None)
            permit(request.head.method, None)
            page = self._pages.own_page(place.path)
            return Notice(page.status, page.body, page.content_type)
        return place, *self.routes.find(place)

    async def _challenge(self, request: ClientRequest) -> Notice | None:
        """Answer who wants to know whose name we have: a certification authority, from anywhere."""
        if request.refusal is not None or not self.challenges.are_at(request.head.target):
            return None
        permit(request.head.method, None)
        return await self.challenges.answer(request.head.target)

    def _check(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.refusal is not None:
            raise Refused(request.refusal.status, f"{request.refusal}.")
        if not exchange.known:
            raise Refused(400, "Forwarded and X-Forwarded-For name different clients.")
        if request.head.expectations - {"100-continue"}:
            # RFC 9110 section 10.1.1.
            raise Refused(417, "No expectation but 100-continue is met.")
        if via.seen(exchange.fields, self._pseudonym):
            raise Refused(508, "This request has come by here before.")

    def _asked(self, exchange: Exchange, place: Place, backend: Backend) -> Asked:
        head, content = exchange.request.head, exchange.request.content
        if not backend.generic:
            # What is sent along with a GET of a file means nothing (RFC 9110 section 9.3.1).
            content = None
        elif content is not None:
            if (content.length or 0) > self.body_size:
                raise Refused(413, f"More than {self.body_size} octets are not taken.")
            content.limit(self.body_size)
        return Asked(
            method=head.method,
            query=place.query,
            fields=anonymous(exchange.fields),
            client=exchange.client,
            sender=exchange.sender,
            connection=exchange.request.channel.number,
            body=content,
            scheme="https" if exchange.request.isSecure() else "http",
            absolute=place.host is not None,
            via=via.add(exchange.fields, "{}.{}".format(*head.version), self._pseudonym),
        )

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
        answer = _own(Notice(status, f"{text}\n".encode()))
        self._responder.tell(request, answer, self._counter(exchange))
        request.finish()

    def _account(self, exchange: Exchange) -> None:
        now = self._clock.seconds()
        request = exchange.request
        status = exchange.ended or request.code
        first_octet = exchange.first_octet and exchange.first_octet - exchange.began
        head = request.head
        record = Record(
            client=exchange.client,
            at=exchange.began,
            method=head.method,
            target=head.target.decode("latin-1"),
            protocol="HTTP/{}.{}".format(*head.version),
            status=status,
            sent=exchange.octets,
            referrer=first(exchange.fields, "referer"),
            agent=first(exchange.fields, "user-agent"),
            cache_status=exchange.cache_status.outcome,
            source=exchange.source or None,
            first=first_octet,
            total=now - exchange.began,
            cut=exchange.cut,
            kind=exchange.kind and exchange.kind.value,
        )
        self._accounting.add(record, exchange.cache_status)


def _trouble_with(request: ClientRequest, error: Exception) -> BadContent | None:
    """Find out whether it is the content of the request that an answer has failed for."""
    if isinstance(error, BadContent):
        return error
    trouble = None if request.content is None else request.content.trouble
    return trouble if isinstance(error, BodyBroken) and isinstance(trouble, BadContent) else None


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
